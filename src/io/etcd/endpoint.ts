/**
 * One etcd endpoint for the life of one connection: the login and calls that each have a deadline.
 * No retries, no other endpoint, no view: callers decide what a failure means. The retry policies,
 * watch manager and login of `etcd3` are left out: they hide failures and leave channels open.
 */
import type { IRangeRequest, IRangeResponse, IWatchRequest, IWatchResponse } from 'etcd3'
import { EtcdError, isAuthOff, toEtcdError } from './errors.ts'
import { type Call, createChannel, type EtcdSettings, type Unary } from './grpc.ts'
import { createSocketOwner } from './sockets.ts'

export type Endpoint = {
  readonly address: string
  /**
   * A range read. Logs in first if there are credentials, and once more when the token is refused.
   * Throws `EtcdError`.
   */
  range(request: IRangeRequest, deadlineMs: number): Promise<IRangeResponse>
  /** Opens a watch stream with the token of the last login and sends one request. */
  watch(request: IWatchRequest, events: WatchStreamEvents): Call
  /** Cancels what is under way and closes the connection. */
  close(): void
}

export type WatchStreamEvents = {
  onAnswer(answer: IWatchResponse): void
  /** The stream failed or was ended; may come more than once. */
  onFailed(error: EtcdError): void
}

/** Counts calls and failed calls over all connections of a follower. */
export type CallCount = { requests: number; errors: number }

/** How long a peer has to take part in an orderly close. */
const CLOSE_GRACE_MS = 250

/** Connects lazily: nothing is sent before the first call. Throws `EtcdError` (settings). */
export function openEndpoint(
  settings: EtcdSettings,
  address: string,
  count: CallCount = { requests: 0, errors: 0 },
): Endpoint {
  const channel = createChannel(settings, address)
  const sockets = createSocketOwner()
  const running = new Set<Call>()
  let closed = false
  let metadata = channel.newMetadata()
  let loggedIn = settings.username === null

  const call = <Req, Res>(name: string, method: Unary<Req, Res>, request: Req, ms: number) =>
    new Promise<Res>((resolve, reject) => {
      if (closed) return reject(new EtcdError('closed', `${name}: connection closed`))
      count.requests += 1
      const done = (error: Error | null, reply: Res) => {
        running.delete(started)
        if (error === null) return resolve(reply)
        count.errors += 1
        reject(toEtcdError(error, `${name} at ${address}`))
      }
      const options = { deadline: Date.now() + ms }
      const started: Call = sockets.run(() => method(request, metadata, options, done))
      running.add(started)
    })

  const logIn = async (ms: number) => {
    const credentials = { name: settings.username ?? '', password: settings.password ?? '' }
    metadata = channel.newMetadata()
    try {
      const { token } = await call('login', channel.authenticate, credentials, ms)
      metadata.set('token', token)
    } catch (error) {
      if (!isAuthOff(error)) throw error
    }
    loggedIn = true
  }

  return {
    address,
    async range(request, deadlineMs) {
      if (!loggedIn) await logIn(deadlineMs)
      try {
        return await call('range', channel.range, request, deadlineMs)
      } catch (error) {
        if (settings.username === null || !isTokenFault(error)) throw error
        await logIn(deadlineMs)
        return call('range', channel.range, request, deadlineMs)
      }
    },
    watch(request, events) {
      const stream = sockets.run(() => channel.watch(metadata))
      const fail = (error: EtcdError) => sockets.outside(() => events.onFailed(error))
      stream.on('data', (answer) => sockets.outside(() => events.onAnswer(answer)))
      stream.on('error', (error) => fail(toEtcdError(error, `watch at ${address}`)))
      stream.on('end', () => fail(new EtcdError('watch-ended', `${address} ended the watch`)))
      stream.write(request)
      return stream
    },
    close() {
      if (closed) return
      closed = true
      for (const call of running) call.cancel()
      channel.close()
      setTimeout(sockets.destroyAll, CLOSE_GRACE_MS).unref()
    },
  }
}

function isTokenFault(error: unknown): boolean {
  return error instanceof EtcdError && error.code === 'token-expired'
}
