/** Can this router serve? What `GET /health` answers. */
import type { RouterPicture } from './types.ts'

export type Health = { readonly status: 200 | 503; readonly words: string }

/**
 * 200 when a route table is known and a worker has every listener bound. A held route or an etcd
 * that is away is no fault of this router: clients are held or served, as designed.
 */
export function decideHealth(picture: RouterPicture): Health {
  if (picture.view === null && picture.table === null) {
    return { status: 503, words: 'the cluster is not known yet' }
  }
  const serving = picture.workers.filter((it) => it.state === 'serving' && it.connected)
  if (serving.length === 0) return { status: 503, words: 'no worker is running' }
  if (serving.some((it) => it.listening && it.faults.length === 0)) {
    return { status: 200, words: 'ok' }
  }
  const fault = serving.flatMap((it) => it.faults)[0]
  return fault === undefined
    ? { status: 503, words: 'no worker has bound its listeners yet' }
    : { status: 503, words: `listener ${fault.listener}: ${fault.what}` }
}
