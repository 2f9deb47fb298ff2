/**
 * One JSON object a line over a stream socket. A line longer than the limit, a line that is not a
 * JSON object, or a reader that lets too much pile up ends the connection: both sides are ours, so
 * each of these is a fault and not a message.
 */
import type { Socket } from 'node:net'
import { StringDecoder } from 'node:string_decoder'

/** A clients list of 10,000 entries is about 4 MB. */
export const LINE_CHARS_MAX = 16 * 1024 * 1024
export const UNSENT_BYTES_MAX = 16 * 1024 * 1024

/** Calls `onMessage` for each object received, until the socket closes. */
export function readMessages(socket: Socket, onMessage: (message: object) => void): void {
  const decoder = new StringDecoder('utf8')
  let rest = ''
  socket.on('data', (chunk: Buffer) => {
    const lines = (rest + decoder.write(chunk)).split('\n')
    rest = lines.pop() ?? ''
    if (rest.length > LINE_CHARS_MAX) socket.destroy(new Error('line too long'))
    for (const line of lines) {
      if (socket.destroyed) return
      const message = parse(line)
      if (message === null) socket.destroy(new Error('line is not a JSON object'))
      else onMessage(message)
    }
  })
}

/** False when the other side takes nothing any more; the connection is then ended. */
export function sendMessage(socket: Socket, message: object): boolean {
  if (socket.destroyed || !socket.writable) return false
  if (socket.writableLength > UNSENT_BYTES_MAX) {
    socket.destroy(new Error('too much unsent'))
    return false
  }
  socket.write(`${JSON.stringify(message)}\n`)
  return true
}

function parse(line: string): object | null {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? value : null
  } catch {
    return null
  }
}
