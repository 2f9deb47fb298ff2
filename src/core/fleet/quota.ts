/**
 * Shares one global limit (clients, held clients) out to the router workers. The control process
 * keeps one quota per `SlotKind`, feeds it what workers say and sends what comes back; nothing here
 * knows sockets or time. A worker that wants slots gets a small batch of the free ones; when none is
 * free every other worker is asked for those it does not use, and only when all have answered is the
 * rest denied. Slots that a taken-over worker brings along count even above the limit.
 */

/** A worker as the control process tells it from all others, also from its successor. */
export type WorkerKey = string

/**
 * Slots granted at once. Large enough to make messages rare under a storm of connections, small
 * enough that little lies idle in one worker while another wants.
 */
export const GRANT_BATCH_MAX = 32

export type Quota = {
  readonly limit: number
  /** Slots each connected worker holds, used or not. */
  readonly held: ReadonlyMap<WorkerKey, number>
  /** Open wishes in order of arrival, at most one a worker; not empty only while nothing is free. */
  readonly wishes: readonly Wish[]
  /** Workers that were asked to return what they do not use and have not answered. */
  readonly asked: ReadonlySet<WorkerKey>
}

/** `awaits`: whose answers must be in before the wish may be denied. */
export type Wish = {
  readonly worker: WorkerKey
  readonly count: number
  readonly awaits: ReadonlySet<WorkerKey>
}

/** `grant` answers a wish (0: none to be had); `reclaim` is to be answered with `giveBack`. */
export type QuotaMessage =
  | { readonly kind: 'grant'; readonly worker: WorkerKey; readonly count: number }
  | { readonly kind: 'reclaim'; readonly worker: WorkerKey }

export type QuotaStep = { readonly quota: Quota; readonly send: readonly QuotaMessage[] }

export function newQuota(limit: number): Quota {
  return { limit: slots(limit), held: new Map(), wishes: [], asked: new Set() }
}

/** Slots that all workers hold together. */
export function heldInTotal(quota: Quota): number {
  let total = 0
  for (const count of quota.held.values()) total += count
  return total
}

/**
 * A worker dialled in holding `held` slots: 0 when new, what it uses when taken over. One that dials
 * in again starts afresh: its open wish is forgotten and it wants again.
 */
export function joined(quota: Quota, worker: WorkerKey, held: number): QuotaStep {
  const known = new Map(forgotten(quota, worker).held).set(worker, slots(held))
  return settle(askIfOver({ ...forgotten(quota, worker), held: known }))
}

/** A worker is gone, and its clients with it. */
export function left(quota: Quota, worker: WorkerKey): QuotaStep {
  return settle({ quota: forgotten(quota, worker), send: [] })
}

/**
 * A worker wants `count` further slots. Exactly one grant answers, now or after the others were
 * asked. Wanting again before the answer replaces the number; a worker that never joined is denied.
 */
export function want(quota: Quota, worker: WorkerKey, count: number): QuotaStep {
  const wanted = slots(count)
  if (!quota.held.has(worker) || wanted === 0) {
    return { quota, send: [{ kind: 'grant', worker, count: 0 }] }
  }
  if (quota.wishes.some((wish) => wish.worker === worker)) {
    const wishes = quota.wishes.map((w) => (w.worker === worker ? { ...w, count: wanted } : w))
    return { quota: { ...quota, wishes }, send: [] }
  }
  const asking = freeSlots(quota) > 0 ? { quota, send: [] } : askOthers(quota, worker)
  const others = [...asking.quota.asked].filter((other) => other !== worker)
  const wish = { worker, count: wanted, awaits: new Set(others) }
  return settle({
    quota: { ...asking.quota, wishes: [...quota.wishes, wish] },
    send: asking.send,
  })
}

/** A worker returned slots, by itself or as the answer to `reclaim` (then 0 is an answer too). */
export function giveBack(quota: Quota, worker: WorkerKey, count: number): QuotaStep {
  const had = quota.held.get(worker)
  if (had === undefined) return { quota, send: [] }
  const held = new Map(quota.held).set(worker, had - Math.min(had, slots(count)))
  return settle({ quota: answered({ ...quota, held }, worker), send: [] })
}

/** A reload changed the limit. Lowering it takes nothing in use away, it stops further grants. */
export function setLimit(quota: Quota, limit: number): QuotaStep {
  return settle(askIfOver({ ...quota, limit: slots(limit) }))
}

/** Serves wishes in order while slots are free, then denies those that have nobody left to await. */
function settle({ quota, send }: QuotaStep): QuotaStep {
  const held = new Map(quota.held)
  const messages = [...send]
  const open: Wish[] = []
  let free = freeSlots(quota)
  for (const wish of quota.wishes) {
    const count = batch(wish.count, free, held.size)
    if (count === 0 && wish.awaits.size > 0) {
      open.push(wish)
      continue
    }
    free -= count
    held.set(wish.worker, (held.get(wish.worker) ?? 0) + count)
    messages.push({ kind: 'grant', worker: wish.worker, count })
  }
  return { quota: { ...quota, held, wishes: open }, send: messages }
}

/** Not all that is free at once: the next worker should not have to wait for a reclaim. */
function batch(wanted: number, free: number, workers: number): number {
  return Math.min(wanted, GRANT_BATCH_MAX, Math.ceil(free / Math.max(1, workers)))
}

/** After a take-over or a lower limit: slots that lie idle anywhere should come back first. */
function askIfOver(quota: Quota): QuotaStep {
  return heldInTotal(quota) > quota.limit ? askOthers(quota, null) : { quota, send: [] }
}

function askOthers(quota: Quota, except: WorkerKey | null): QuotaStep {
  const asked = new Set(quota.asked)
  const send: QuotaMessage[] = []
  for (const [worker, count] of quota.held) {
    if (worker === except || count === 0 || asked.has(worker)) continue
    asked.add(worker)
    send.push({ kind: 'reclaim', worker })
  }
  return { quota: { ...quota, asked }, send }
}

function forgotten(quota: Quota, worker: WorkerKey): Quota {
  const held = new Map(quota.held)
  held.delete(worker)
  const wishes = quota.wishes.filter((wish) => wish.worker !== worker)
  return answered({ ...quota, held, wishes }, worker)
}

function answered(quota: Quota, worker: WorkerKey): Quota {
  if (!quota.asked.has(worker)) return quota
  const without = (from: ReadonlySet<WorkerKey>) => new Set([...from].filter((w) => w !== worker))
  const wishes = quota.wishes.map((wish) => ({ ...wish, awaits: without(wish.awaits) }))
  return { ...quota, asked: without(quota.asked), wishes }
}

function freeSlots(quota: Quota): number {
  return Math.max(0, quota.limit - heldInTotal(quota))
}

/** Counts come from another process: whole, not negative, and finite. */
function slots(count: number): number {
  return Number.isFinite(count) ? Math.max(0, Math.floor(count)) : 0
}
