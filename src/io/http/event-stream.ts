/**
 * `GET /events`: server-sent events. A reader that comes back with `Last-Event-ID` gets what it
 * missed; one that reads too slowly is dropped, it will come back.
 */
import type { ServerResponse } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { formatEvent } from '../../core/api/event-ring.ts'
import type { RestApi } from './rest-server.ts'

export const READERS_MAX = 100
const HEARTBEAT_MS = 15_000
const UNSENT_BYTES_MAX = 1024 * 1024
const HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-store',
  'x-accel-buffering': 'no',
  connection: 'keep-alive',
}

/** Adds the route; `close` ends every stream. */
export function serveEvents(app: FastifyInstance, events: RestApi['events']): { close(): void } {
  const readers = new Set<ServerResponse>()
  const heartbeat = setInterval(() => {
    for (const reader of readers) write(reader, ': still here\n\n')
  }, HEARTBEAT_MS)
  app.get('/events', { exposeHeadRoute: false }, (request, reply) => {
    if (readers.size >= READERS_MAX) {
      return reply.code(503).send({ error: `more than ${READERS_MAX} readers of events` })
    }
    reply.hijack()
    const reader = reply.raw
    readers.add(reader)
    reader.writeHead(200, HEADERS)
    const lastId = lastEventId(request.headers['last-event-id'], request.query)
    const missed = lastId === null ? [] : events.since(lastId)
    write(reader, `retry: 1000\n\n${missed.map(formatEvent).join('')}`)
    const stop = events.listen((event) => write(reader, formatEvent(event)))
    reader.on('error', () => undefined)
    reader.on('close', () => {
      stop()
      readers.delete(reader)
    })
    return reply
  })
  return {
    close() {
      clearInterval(heartbeat)
      for (const reader of readers) reader.destroy()
    },
  }
}

/** `?since=<id>` does the same for tools that can't set headers; `since=0` asks for all there is. */
function lastEventId(header: string | string[] | undefined, query: unknown): string | null {
  const since = (query as Record<string, unknown>)['since']
  const id = [header].flat()[0] ?? since
  return typeof id === 'string' ? id : null
}

function write(reader: ServerResponse, text: string): void {
  if (reader.writableLength > UNSENT_BYTES_MAX) reader.destroy()
  else if (reader.writable) reader.write(text)
}
