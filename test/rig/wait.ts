/** The only waiting tests may do: for a condition, with a limit. */
export { type UntilOptions, until } from '../../src/app/demo/until.ts'
