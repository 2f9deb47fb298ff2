/**
 * The `options` startup parameter: a command line for the backend. Read as PostgreSQL reads it
 * (pg_split_opts, then getopt), so that router and server never understand different things.
 */

/** Switches of a PostgreSQL backend that take a value; `-` makes `--name=value` one of them. */
const SWITCHES_WITH_VALUE = 'BCcDdfhkNprStvW-'

/** The last value that `options` gives to the setting `name` (in lower case); null if it gives none. */
export function readOption(options: string, name: string): string | null {
  // Nearly every client sends no options, and nearly all options do not speak of us.
  if (!mayMention(options, name)) return null
  let found: string | null = null
  for (const assignment of listAssignments(splitWords(options))) {
    const equals = assignment.indexOf('=')
    if (equals < 0) continue
    if (assignment.slice(0, equals).replaceAll('-', '_').toLowerCase() !== name) continue
    found = assignment.slice(equals + 1)
  }
  return found
}

/** Cheap and never wrong in saying no: escapes apart, the name must stand there. */
function mayMention(options: string, name: string): boolean {
  if (options.length < name.length) return false
  return options.includes('\\') || options.toLowerCase().replaceAll('-', '_').includes(name)
}

/** Splits at white space; a backslash takes the next character literally. */
function splitWords(options: string): string[] {
  const words: string[] = []
  let word = ''
  let open = false
  let escaped = false
  for (const char of options) {
    if (escaped) {
      word += char
      escaped = false
    } else if (char === '\\') {
      open = true
      escaped = true
    } else if (isSpace(char)) {
      if (open) words.push(word)
      word = ''
      open = false
    } else {
      open = true
      word += char
    }
  }
  if (open) words.push(word)
  return words
}

/** What the C locale's isspace() accepts. */
function isSpace(char: string): boolean {
  return char === ' ' || (char >= '\t' && char <= '\r')
}

/** The `name=value` texts of `-c name=value`, `-cname=value` and `--name=value`, in order. */
function listAssignments(words: readonly string[]): string[] {
  const assignments: string[] = []
  for (let at = 0; at < words.length; at++) {
    const word = words[at]!
    if (word === '--') break
    if (!word.startsWith('-')) continue
    const found = valueSwitch(word)
    if (found < 0) continue
    const value = found + 1 < word.length ? word.slice(found + 1) : words[++at]
    if (value !== undefined && (word[found] === 'c' || word[found] === '-')) assignments.push(value)
  }
  return assignments
}

/** Where in a bundle of switches (`-ec...`) the one that takes a value stands; -1 if none does. */
function valueSwitch(word: string): number {
  for (let at = 1; at < word.length; at++) {
    if (SWITCHES_WITH_VALUE.includes(word[at]!)) return at
  }
  return -1
}
