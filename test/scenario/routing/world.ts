/** A cluster that a story changes event by event; each event is one routing step. */
import type { ClusterView, Member } from '../../../src/core/cluster/types.ts'
import {
  decideRoutes,
  initialRoutingState,
  type Note,
  type RoutingInput,
  type RoutingState,
  type RoutingStep,
} from '../../../src/core/routing/decide.ts'
import type { ListenerPolicy } from '../../../src/core/routing/types.ts'
import { viewOf } from '../../core/routing/build.ts'

/** Steps that time alone may cause within one event: more means that wake-ups run in a circle. */
const WAKES_MAX = 1000

export type Change = Partial<Pick<RoutingInput, 'sightings' | 'troubles'>>

export class World {
  nowMs = 0
  view: ClusterView = viewOf({ revision: 0, leaderPosition: null })
  hasView = false
  etcd: RoutingInput['etcd'] = { kind: 'live' }
  policies: ListenerPolicy[] = []
  state: RoutingState = initialRoutingState()
  last: RoutingStep | null = null
  private notes: Note[] = []

  /** A new revision that differs from the one before. */
  put(change: (revision: number) => Partial<ClusterView>): void {
    const revision = this.view.revision + 1
    this.view = { ...this.view, revision, ...change(revision) }
    this.hasView = true
  }

  putMember(member: Member): void {
    const others = this.view.members.filter(({ name }) => name !== member.name)
    const members = [...others, member].sort((a, b) => (a.name < b.name ? -1 : 1))
    this.put((revision) => ({
      members: members.map((one) => (one === member ? { ...one, changed: revision } : one)),
    }))
  }

  step(change: Change = {}, view: ClusterView = this.view): void {
    this.last = decideRoutes(this.state, this.inputOf(change, view))
    this.state = this.last.state
    this.notes.push(...this.last.notes)
  }

  inputOf(change: Change = {}, view: ClusterView = this.view): RoutingInput {
    const { nowMs, etcd, policies } = this
    const news = { sightings: [], troubles: [], ...change }
    return { nowMs, view: this.hasView ? view : null, etcd, policies, ...news }
  }

  /** Lets time pass, stepping whenever the last step asked to be woken. */
  advance(ms: number): void {
    const untilMs = this.nowMs + ms
    for (let wakes = 0; ; wakes++) {
      if (wakes > WAKES_MAX) throw new Error('wake-ups run in a circle')
      const wakeAtMs = this.last?.wakeAtMs ?? null
      if (wakeAtMs === null || wakeAtMs > untilMs) break
      this.nowMs = wakeAtMs
      this.step()
    }
    this.nowMs = untilMs
    this.step()
  }

  /** What the last step decided, and the notes since this was asked the last time. */
  tell(): { step: RoutingStep; notes: readonly Note[] } {
    if (this.last === null) this.step()
    const notes = this.notes
    this.notes = []
    return { step: this.last!, notes }
  }
}
