/**
 * IP addresses as bytes, and lists of trusted CIDR blocks. Pure arithmetic. An IPv4 address inside
 * IPv6 (`::ffff:10.0.0.1`, as a dual-stack socket reports it) counts as the IPv4 address.
 */

/** Stands for a client on a unix socket, in lists as well as for an address. */
export const UNIX_ADDRESS = 'unix'

type Block = { readonly network: Uint8Array; readonly bits: number }

export type TrustedList = { readonly unix: boolean; readonly blocks: readonly Block[] }

export type TrustedListResult = {
  readonly list: TrustedList
  /** The entries that are neither an address, a CIDR block nor `unix`. */
  readonly faults: readonly string[]
}

/** Reads addresses, CIDR blocks (bits beyond the prefix are ignored) and `unix`. */
export function compileTrusted(entries: readonly string[]): TrustedListResult {
  const blocks: Block[] = []
  const faults: string[] = []
  for (const entry of entries) {
    if (entry === UNIX_ADDRESS) continue
    const block = parseBlock(entry)
    if (block === null) faults.push(entry)
    else blocks.push(block)
  }
  return { list: { unix: entries.includes(UNIX_ADDRESS), blocks }, faults }
}

/** `address`: an IP address in text form, or `unix`. What is no address is not trusted. */
export function inTrusted(list: TrustedList, address: string): boolean {
  if (address === UNIX_ADDRESS) return list.unix
  if (list.blocks.length === 0) return false
  const bytes = parseAddress(address)
  return bytes !== null && list.blocks.some((block) => inBlock(block, bytes))
}

/** 4 or 16 bytes; a zone (`%eth0`) is ignored; null if `text` is no IP address. */
export function parseAddress(text: string): Uint8Array | null {
  if (text.length > 100) return null
  const zone = text.indexOf('%')
  const bytes = text.includes(':') ? parseV6(zone < 0 ? text : text.slice(0, zone)) : parseV4(text)
  return bytes === null ? null : unmapped(bytes)
}

/** The usual text of 4 or 16 bytes: dotted, or as RFC 5952 wants it. */
export function formatAddress(bytes: Uint8Array): string {
  const plain = unmapped(bytes)
  return plain.length === 4 ? plain.join('.') : formatV6(plain)
}

function parseBlock(entry: string): Block | null {
  const slash = entry.indexOf('/')
  const text = slash < 0 ? entry : entry.slice(0, slash)
  const network = parseAddress(text)
  if (network === null) return null
  if (slash < 0) return { network, bits: network.length * 8 }
  // A prefix written for the mapped form counts the 96 bits before the IPv4 address too.
  const shift = network.length === 4 && text.includes(':') ? 96 : 0
  const bits = parseDecimal(entry.slice(slash + 1), 128) - shift
  return bits >= 0 && bits <= network.length * 8 ? { network, bits } : null
}

function inBlock(block: Block, bytes: Uint8Array): boolean {
  if (block.network.length !== bytes.length) return false
  const whole = block.bits >> 3
  for (let at = 0; at < whole; at++) if (block.network[at] !== bytes[at]) return false
  const rest = block.bits & 7
  return rest === 0 || (block.network[whole]! ^ bytes[whole]!) >> (8 - rest) === 0
}

function parseV4(text: string): Uint8Array | null {
  const parts = text.split('.')
  if (parts.length !== 4) return null
  const numbers = parts.map((part) => parseDecimal(part, 255))
  return numbers.every((number) => number >= 0) ? Uint8Array.from(numbers) : null
}

/** A decimal number without sign or leading zeros, at most `max`; -1 if it is none. */
export function parseDecimal(text: string, max: number): number {
  if (!/^(0|[1-9][0-9]{0,8})$/.test(text)) return -1
  const number = Number(text)
  return number <= max ? number : -1
}

function parseV6(text: string): Uint8Array | null {
  const halves = text.split('::')
  if (halves.length > 2) return null
  const head = parseGroups(halves[0]!, halves.length === 1)
  const tail = halves.length === 2 ? parseGroups(halves[1]!, true) : []
  if (head === null || tail === null) return null
  const missing = 16 - head.length - tail.length
  // `::` stands for at least one group of zeros.
  if (halves.length === 2 ? missing < 2 : missing !== 0) return null
  return Uint8Array.from([...head, ...new Array<number>(missing).fill(0), ...tail])
}

/** The bytes of groups between colons; the last may be a dotted IPv4 address if it ends the text. */
function parseGroups(text: string, endsText: boolean): number[] | null {
  if (text === '') return []
  const bytes: number[] = []
  const groups = text.split(':')
  for (const [index, group] of groups.entries()) {
    if (/^[0-9a-f]{1,4}$/i.test(group)) {
      const number = Number.parseInt(group, 16)
      bytes.push(number >> 8, number & 0xff)
      continue
    }
    const dotted = endsText && index === groups.length - 1 ? parseV4(group) : null
    if (dotted === null) return null
    bytes.push(...dotted)
  }
  return bytes
}

function unmapped(bytes: Uint8Array): Uint8Array {
  if (bytes.length !== 16 || bytes[10] !== 0xff || bytes[11] !== 0xff) return bytes
  return bytes.subarray(0, 10).every((byte) => byte === 0) ? bytes.subarray(12) : bytes
}

function formatV6(bytes: Uint8Array): string {
  const groups: number[] = []
  for (let at = 0; at < 16; at += 2) groups.push((bytes[at]! << 8) | bytes[at + 1]!)
  const zeros = longestZeros(groups)
  const text = (from: number, to: number) =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(':')
  if (zeros.count < 2) return text(0, 8)
  return `${text(0, zeros.from)}::${text(zeros.from + zeros.count, 8)}`
}

function longestZeros(groups: readonly number[]): { from: number; count: number } {
  let best = { from: 0, count: 0 }
  let count = 0
  for (let at = 0; at < groups.length; at++) {
    count = groups[at] === 0 ? count + 1 : 0
    if (count > best.count) best = { from: at - count + 1, count }
  }
  return best
}
