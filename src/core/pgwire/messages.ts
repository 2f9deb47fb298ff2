/** Builds the few messages a router says itself: requests before a login, goodbye, error frames. */
import {
  CANCEL_REQUEST_CODE,
  GSSENC_REQUEST_CODE,
  SSL_REQUEST_CODE,
  STARTUP_BYTES_MAX,
} from './startup.ts'

export const PROTOCOL_3_0 = { major: 3, minor: 0 } as const

/** Answers to SSLRequest and GSSENCRequest: a single byte each. */
export const TLS_ACCEPTED = Buffer.from('S')
export const GSSENC_ACCEPTED = Buffer.from('G')
export const ENCRYPTION_REFUSED = Buffer.from('N')

export const TERMINATE_MESSAGE = Buffer.from([0x58, 0, 0, 0, 4])

export const SSL_REQUEST = request(SSL_REQUEST_CODE, Buffer.alloc(0))
export const GSSENC_REQUEST = request(GSSENC_REQUEST_CODE, Buffer.alloc(0))

/** `key` as the server gave it in BackendKeyData: 4 bytes in protocol 3.0, up to 256 in 3.2. */
export function cancelRequest(pid: number, key: Buffer): Buffer {
  const body = Buffer.alloc(4 + key.length)
  body.writeInt32BE(pid | 0, 0)
  key.copy(body, 4)
  return request(CANCEL_REQUEST_CODE, body)
}

/**
 * A StartupMessage. Throws a RangeError when a name or value holds a NUL, a name is empty or the
 * whole is longer than a server takes: all three are the caller's mistake.
 */
export function startupPacket(
  parameters: Iterable<readonly [string, string]>,
  protocol: { readonly major: number; readonly minor: number } = PROTOCOL_3_0,
): Buffer {
  const texts: string[] = []
  for (const [name, value] of parameters) {
    if (name === '' || name.includes('\0') || value.includes('\0')) {
      throw new RangeError(`not a startup parameter: ${JSON.stringify([name, value])}`)
    }
    texts.push(name, '\0', value, '\0')
  }
  texts.push('\0')
  const packet = request((protocol.major << 16) | protocol.minor, Buffer.from(texts.join('')))
  if (packet.length > STARTUP_BYTES_MAX) throw new RangeError('startup packet too long')
  return packet
}

/** A message with a type byte: `type` (one ASCII character), length word, payload. */
export function frame(type: string, payload: Buffer): Buffer {
  const message = Buffer.allocUnsafe(5 + payload.length)
  message[0] = type.charCodeAt(0)
  message.writeUInt32BE(4 + payload.length, 1)
  payload.copy(message, 5)
  return message
}

/** A packet without a type byte: length word, request code, body. */
function request(code: number, body: Buffer): Buffer {
  const packet = Buffer.alloc(8 + body.length)
  packet.writeUInt32BE(packet.length, 0)
  packet.writeUInt32BE(code >>> 0, 4)
  body.copy(packet, 8)
  return packet
}
