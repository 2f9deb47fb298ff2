/**
 * A server that lets anybody in and then says nothing: stands in for PostgreSQL where thousands of
 * idle sessions are opened and only the proxy's memory is of interest. Argument: the port.
 */
import { createServer } from 'node:net'

const SSL_REQUEST = 80_877_103
const GSS_REQUEST = 80_877_104
const BACKLOG = 4096

function parameter(name: string, value: string): Buffer {
  const body = Buffer.from(`${name}\0${value}\0`)
  return Buffer.concat([head('S', body.length), body])
}

function head(type: string, bodyBytes: number): Buffer {
  const bytes = Buffer.alloc(5)
  bytes.write(type, 'latin1')
  bytes.writeInt32BE(bodyBytes + 4, 1)
  return bytes
}

const WELCOME = Buffer.concat([
  head('R', 4),
  Buffer.alloc(4), // AuthenticationOk
  parameter('server_version', '15.0'),
  parameter('client_encoding', 'UTF8'),
  parameter('server_encoding', 'UTF8'),
  parameter('standard_conforming_strings', 'on'),
  parameter('DateStyle', 'ISO, MDY'),
  parameter('TimeZone', 'UTC'),
  parameter('integer_datetimes', 'on'),
  parameter('in_hot_standby', 'off'),
  head('K', 8),
  Buffer.alloc(8, 1),
  head('Z', 1),
  Buffer.from('I'),
])

const server = createServer((socket) => {
  let greeted = false
  socket.on('error', () => socket.destroy())
  socket.on('data', (bytes: Buffer) => {
    if (greeted) return
    const code = bytes.length >= 8 ? bytes.readUInt32BE(4) : 0
    if (code === SSL_REQUEST || code === GSS_REQUEST) return void socket.write('N')
    greeted = true
    socket.write(WELCOME)
  })
})
server.listen({ port: Number(process.argv[2]), host: '127.0.0.1', backlog: BACKLOG })
