/** The global limits on clients and held clients, shared out to the workers. */
import type { SlotKind, ToWorker, WorkerSettings } from '../../core/fleet/messages.ts'
import {
  giveBack,
  joined,
  left,
  newQuota,
  type Quota,
  type QuotaStep,
  setLimit,
  want,
} from '../../core/fleet/quota.ts'

type Send = (pid: number, message: ToWorker) => void

const KINDS = ['clients', 'held'] as const satisfies readonly SlotKind[]

export class Slots {
  readonly #send: Send
  readonly #quotas: Record<SlotKind, Quota>

  constructor(settings: WorkerSettings, send: Send) {
    this.#send = send
    this.#quotas = {
      clients: newQuota(limitOf(settings, 'clients')),
      held: newQuota(limitOf(settings, 'held')),
    }
  }

  setLimits(settings: WorkerSettings): void {
    for (const slot of KINDS) {
      this.#perform(slot, setLimit(this.#quotas[slot], limitOf(settings, slot)))
    }
  }

  joined(pid: number, held: Readonly<Record<SlotKind, number>>): void {
    for (const slot of KINDS) {
      this.#perform(slot, joined(this.#quotas[slot], String(pid), held[slot] ?? 0))
    }
  }

  gone(pid: number): void {
    for (const slot of KINDS) this.#perform(slot, left(this.#quotas[slot], String(pid)))
  }

  want(pid: number, slot: SlotKind, count: number): void {
    this.#perform(slot, want(this.#quotas[slot], String(pid), count))
  }

  giveBack(pid: number, slot: SlotKind, count: number): void {
    this.#perform(slot, giveBack(this.#quotas[slot], String(pid), count))
  }

  #perform(slot: SlotKind, { quota, send }: QuotaStep): void {
    this.#quotas[slot] = quota
    for (const message of send) {
      const pid = Number(message.worker)
      if (message.kind === 'reclaim') this.#send(pid, { kind: 'reclaim', slot })
      else this.#send(pid, { kind: 'grant', slot, count: message.count })
    }
  }
}

function limitOf(settings: WorkerSettings, slot: SlotKind): number {
  return slot === 'clients' ? settings.limits.maxClients : settings.hold.maxClients
}
