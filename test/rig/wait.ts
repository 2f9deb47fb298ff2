/**
 * The only waiting tests may do: for a condition, with a limit. `pause` is for playing someone slow,
 * or for a time in which nothing may happen; never for a result.
 */
export { setTimeout as pause } from 'node:timers/promises'
export { type UntilOptions, until } from '../../src/app/demo/until.ts'
