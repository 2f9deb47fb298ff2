/**
 * Asks members how they are, as often as the routing core wants. One poller a wanted check, never
 * two questions to one member and path at once; a sighting carries the time of the question.
 */
import { type CheckPath, type MemberAnswer, readPatroniStatus } from '../core/api/patroni-status.ts'
import type { Clock } from '../io/clock/clock.ts'
import type { PeerReply } from '../io/http/patroni-client.ts'

export type WantedCheck = {
  readonly member: string
  readonly apiUrl: string
  readonly path: CheckPath
  readonly everyMs: number
}

export type SeenMember = {
  readonly member: string
  readonly atMs: number
  readonly answer: MemberAnswer
}

export type CheckPorts = {
  readonly clock: Clock
  ask(apiUrl: string, path: CheckPath, timeoutMs: number): Promise<PeerReply>
  onSighting(sighting: SeenMember): void
}

type Poller = { check: WantedCheck; askedAtMs: number; inFlight: boolean; cancel: () => void }

/** A check this frequent is for a swap under way: a slow answer is then worth less than a new question. */
const TIGHT_MS = 500
const TIGHT_TIMEOUT_MS = 1000
const CALM_TIMEOUT_MS = 2000
/** Members asked at one time; a view has far fewer. */
const POLLERS_MAX = 200

export class Checks {
  readonly #ports: CheckPorts
  readonly #pollers = new Map<string, Poller>()

  constructor(ports: CheckPorts) {
    this.#ports = ports
  }

  /** From now on these checks and no others; one that goes on keeps its rhythm. */
  want(checks: readonly WantedCheck[]): void {
    const wanted = new Map(checks.slice(0, POLLERS_MAX).map((check) => [keyOf(check), check]))
    for (const [key, poller] of this.#pollers) {
      if (wanted.has(key)) continue
      poller.cancel()
      this.#pollers.delete(key)
    }
    for (const [key, check] of wanted) this.#wantOne(key, check)
  }

  close(): void {
    this.want([])
  }

  #wantOne(key: string, check: WantedCheck): void {
    const poller = this.#pollers.get(key)
    if (poller === undefined) {
      const fresh = {
        check,
        askedAtMs: Number.NEGATIVE_INFINITY,
        inFlight: false,
        cancel: () => {},
      }
      this.#pollers.set(key, fresh)
      this.#plan(fresh)
    } else if (poller.check.everyMs !== check.everyMs) {
      poller.check = check
      if (!poller.inFlight) this.#plan(poller)
    }
  }

  #plan(poller: Poller): void {
    poller.cancel()
    const { clock } = this.#ports
    const waitMs = poller.askedAtMs + poller.check.everyMs - clock.nowMs()
    poller.cancel = clock.after(waitMs, () => void this.#ask(poller))
  }

  async #ask(poller: Poller): Promise<void> {
    const { check } = poller
    poller.inFlight = true
    poller.askedAtMs = this.#ports.clock.nowMs()
    const timeoutMs = check.everyMs <= TIGHT_MS ? TIGHT_TIMEOUT_MS : CALM_TIMEOUT_MS
    const reply = await this.#ports.ask(check.apiUrl, check.path, timeoutMs)
    poller.inFlight = false
    if (this.#pollers.get(keyOf(check)) !== poller) return
    const atMs = poller.askedAtMs
    this.#plan(poller)
    this.#ports.onSighting({ member: check.member, atMs, answer: readReply(check.path, reply) })
  }
}

function readReply(path: CheckPath, reply: PeerReply): MemberAnswer {
  if (reply.kind === 'failed') return { kind: 'unreachable', why: reply.why }
  return readPatroniStatus(path, reply.status, reply.body)
}

/** A member that moved to another address is asked there at once. */
function keyOf(check: WantedCheck): string {
  return `${check.member} ${check.path} ${check.apiUrl}`
}
