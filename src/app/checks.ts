/**
 * Asks members how they are, as often as the routing core wants. One poller a wanted check. A
 * question that hangs does not hold up the next: a few may be under way, and each sighting carries
 * the time of its own question, so late answers undo nothing.
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
  ask(apiUrl: string, path: string, timeoutMs: number): Promise<PeerReply>
  onSighting(sighting: SeenMember): void
}

type Poller = {
  check: WantedCheck
  askedAtMs: number
  inFlight: number
  cancel: () => void
  /** What is asked instead of the check's own path, while the member knows it. */
  quickPath: string | null
}

/**
 * `GET /health` has the body of `GET /patroni`, but is answered at once: for `/patroni` an agent
 * that can't reach its PostgreSQL tries again for seconds before it answers.
 */
const QUICK_PATHS: Readonly<Partial<Record<CheckPath, string>>> = { '/patroni': '/health' }

/** A check this frequent is for a swap under way: a slow answer is then worth less than a new question. */
const TIGHT_MS = 500
const TIGHT_TIMEOUT_MS = 1000
const CALM_TIMEOUT_MS = 2000
/** A question unanswered for this long is joined by the next one. */
const OVERLAP_MS = 250
/** Questions of one poller at one time. */
const IN_FLIGHT_MAX = 4
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
      const quickPath = QUICK_PATHS[check.path] ?? null
      const none = { askedAtMs: Number.NEGATIVE_INFINITY, inFlight: 0, cancel: () => {} }
      const fresh: Poller = { check, quickPath, ...none }
      this.#pollers.set(key, fresh)
      this.#plan(fresh)
    } else if (poller.check.everyMs !== check.everyMs) {
      poller.check = check
      this.#plan(poller)
    }
  }

  /** The next question: in rhythm when none is open, later beside one that hangs. */
  #plan(poller: Poller): void {
    poller.cancel()
    if (poller.inFlight >= IN_FLIGHT_MAX) return // planned again when one is answered
    const { clock } = this.#ports
    const { everyMs } = poller.check
    const gapMs = poller.inFlight === 0 ? everyMs : Math.max(everyMs, OVERLAP_MS)
    const waitMs = poller.askedAtMs + gapMs - clock.nowMs()
    poller.cancel = clock.after(waitMs, () => void this.#ask(poller))
  }

  async #ask(poller: Poller): Promise<void> {
    const { check } = poller
    const atMs = this.#ports.clock.nowMs()
    const timeoutMs = check.everyMs <= TIGHT_MS ? TIGHT_TIMEOUT_MS : CALM_TIMEOUT_MS
    poller.inFlight += 1
    poller.askedAtMs = atMs
    this.#plan(poller)
    const answer = await this.#question(poller, timeoutMs)
    poller.inFlight -= 1
    if (this.#pollers.get(keyOf(check)) !== poller) return
    this.#plan(poller)
    this.#ports.onSighting({ member: check.member, atMs, answer })
  }

  async #question(poller: Poller, timeoutMs: number): Promise<MemberAnswer> {
    const { quickPath, check } = poller
    const { apiUrl, path } = check
    if (quickPath !== null) {
      const reply = await this.#ports.ask(apiUrl, quickPath, timeoutMs)
      const answer = readReply(path, reply)
      if (reply.kind === 'failed' || answer.kind !== 'unreachable') return answer
      poller.quickPath = null // it answered, but not with its state
    }
    return readReply(path, await this.#ports.ask(apiUrl, path, timeoutMs))
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
