/**
 * Keeps watch over the age of the last proof and reports changes between `live` and `lost`. Decides
 * nothing else; the clock is `performance.now()`.
 */

/** How old the last proof may grow. Longer than an etcd election at its default settings (1 to 2 s). */
export const LOST_AFTER_MS = 4000

export type Health =
  | { readonly kind: 'live' }
  | { readonly kind: 'lost'; readonly sinceMs: number; readonly why: string }

export type HealthWatch = {
  /** A quorum answered a request that was sent at `sentAtMs`. */
  proved(sentAtMs: number): void
  /** Loaded and watching. */
  live(): void
  /** Why the last connection failed; shown when `lost` is reported. */
  failed(why: string): void
  lastProofMs(): number | null
  kind(): Health['kind'] | 'starting'
  close(): void
}

/** Starts as `starting`: the first report is `live`, or `lost` when nothing answers in time. */
export function openHealthWatch(onHealth: (health: Health) => void): HealthWatch {
  const openedAtMs = performance.now()
  let kind: Health['kind'] | 'starting' = 'starting'
  let lastProofMs: number | null = null
  let why = 'no answer yet'
  let closed = false
  let timer: NodeJS.Timeout | null = null

  const check = () => {
    const sinceMs = lastProofMs ?? openedAtMs
    const leftMs = sinceMs + LOST_AFTER_MS - performance.now()
    timer = null
    if (leftMs > 0) return arm(leftMs)
    kind = 'lost'
    onHealth({ kind, sinceMs, why })
  }
  const arm = (ms: number) => {
    if (!closed) timer ??= setTimeout(check, Math.ceil(ms))
  }

  arm(LOST_AFTER_MS)
  return {
    proved(sentAtMs) {
      lastProofMs = Math.max(lastProofMs ?? sentAtMs, sentAtMs)
    },
    live() {
      if (kind === 'live') return
      kind = 'live'
      arm(LOST_AFTER_MS)
      onHealth({ kind })
    },
    failed(text) {
      why = text
    },
    lastProofMs: () => lastProofMs,
    kind: () => kind,
    close() {
      closed = true
      if (timer !== null) clearTimeout(timer)
    },
  }
}
