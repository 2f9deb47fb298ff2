/** Feeds a parser every beginning of its input, as a slow sender would, and what may follow it. */
import assert from 'node:assert/strict'

type Answer = { readonly kind: string }

/**
 * The first answer that is not `need-more` must come no later than at the last byte of `bytes`, and
 * must stay the same however much more is there. Returns how many bytes it took.
 */
export function checkEveryCut(parse: (bytes: Buffer) => Answer, bytes: Buffer): number {
  const whole = parse(bytes)
  assert.notEqual(whole.kind, 'need-more', `undecided: ${bytes.toString('hex')}`)
  let decidedAt = 0
  for (let cut = 0; cut <= bytes.length; cut++) {
    const answer = parse(bytes.subarray(0, cut))
    if (answer.kind === 'need-more') {
      assert.equal(decidedAt, 0, `undecided again at ${cut}`)
      continue
    }
    if (decidedAt === 0) decidedAt = cut
    assert.deepEqual(answer, whole, `cut at ${cut}`)
  }
  for (const more of ['\0', '\x16', 'Q\0\0\0\x05\0', 'x'.repeat(20_000)]) {
    assert.deepEqual(parse(Buffer.concat([bytes, Buffer.from(more, 'latin1')])), whole)
  }
  return decidedAt
}
