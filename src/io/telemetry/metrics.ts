/** The metrics registry: families read off the picture when asked, and a few counted here. */
import { Counter, Histogram, type Metric, Registry } from 'prom-client'
import { FAMILIES, type Family } from '../../core/api/metrics.ts'
import type { RouterPicture } from '../../core/api/types.ts'

const SWAP_BUCKETS_S = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5]

export type Metrics = {
  readonly contentType: string
  render(): Promise<string>
  /** The write route went to another primary; from the event to the last worker's switch. */
  countSwap(latencyMs: number): void
}

/** Opens a registry of its own; `look` gives the picture at the moment of a scrape. */
export function openMetrics(look: () => RouterPicture): Metrics {
  const registry = new Registry()
  let picture: RouterPicture | null = null
  for (const family of FAMILIES) {
    registry.registerMetric(readMetric(family, () => (picture ??= look())))
  }
  const swaps = new Counter({
    name: 'pgsteer_swaps_total',
    help: 'Times the write route went to another primary.',
    registers: [registry],
  })
  const swapSeconds = new Histogram({
    name: 'pgsteer_swap_seconds',
    help: 'From the event that changed the write route to the last worker that switched.',
    buckets: SWAP_BUCKETS_S,
    registers: [registry],
  })
  return {
    contentType: registry.contentType,
    async render() {
      picture = look()
      return registry.metrics()
    },
    countSwap(latencyMs) {
      swaps.inc()
      swapSeconds.observe(latencyMs / 1000)
    },
  }
}

/** prom-client asks each metric for its values with `get`; ours are read, not counted. */
function readMetric({ name, help, type, read }: Family, look: () => RouterPicture): Metric {
  const get = async () => ({
    name,
    help,
    type,
    aggregator: 'sum',
    values: read(look()).map(({ labels, value, suffix }) => ({
      labels,
      value,
      ...(suffix === undefined ? {} : { metricName: name + suffix }),
    })),
  })
  return { name, get } as unknown as Metric
}
