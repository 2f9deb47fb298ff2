/** What stops the demo by the user's or the machine's doing: told in one sentence, no stack. */
export class DemoFault extends Error {
  override readonly name = 'DemoFault'
}
