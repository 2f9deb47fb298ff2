/**
 * Typed look-ups in the parsed values. A value of another type than the table promises is a bug of
 * ours and throws; the `try` forms are for rules that run while faults may have left gaps.
 */
import type { Values } from './walk.ts'

export function text(values: Values, path: string): string {
  return demand(optionalText(values, path), path)
}

export function optionalText(values: Values, path: string): string | null {
  const value = values.get(path)
  return typeof value === 'string' ? value : null
}

export function number(values: Values, path: string): number {
  return demand(optionalNumber(values, path), path)
}

export function optionalNumber(values: Values, path: string): number | null {
  const value = values.get(path)
  return typeof value === 'number' ? value : null
}

export function flag(values: Values, path: string): boolean {
  return values.get(path) === true
}

export function texts(values: Values, path: string): readonly string[] {
  const value = values.get(path)
  return Array.isArray(value) ? value.filter((it) => typeof it === 'string') : []
}

export function present(values: Values, path: string): boolean {
  return values.has(path)
}

function demand<T>(value: T | null, path: string): T {
  if (value === null) throw new Error(`configuration value ${path} is not there`)
  return value
}
