/** Which PEM files a configuration names, so that `io` can read and check them. */
import { optionalText } from './read.ts'
import { SETTINGS } from './settings/index.ts'
import type { Path } from './types.ts'
import type { Values } from './walk.ts'

export type PemUse = {
  readonly path: Path
  readonly file: string
  readonly holds: 'certificate' | 'authorities' | 'key'
  /** Key of a certificate: the file with the certificate it must match. */
  readonly certificateFile: string | null
  readonly passphrase: string | null
  /** Certificate without a key file beside it: the key must be in the same file. */
  readonly keyInside: boolean
}

const PEM_SETTINGS = SETTINGS.flatMap((it) =>
  it.type.kind === 'pem' ? [{ path: it.path, holds: it.type.holds }] : [],
)

/** All files named, also when other parts of the configuration have errors. */
export function pemUses(values: Values): PemUse[] {
  return PEM_SETTINGS.flatMap(({ path, holds }) => {
    const file = optionalText(values, path)
    return file === null ? [] : [pemUse(values, path, holds, file)]
  })
}

function pemUse(values: Values, path: string, holds: PemUse['holds'], file: string): PemUse {
  const certificate = path.replace(/key(file)?$/, 'cert$1')
  const key = path.replace(/cert(file)?$/, 'key$1')
  return {
    path: path.split('.'),
    file,
    holds,
    certificateFile: holds === 'key' ? optionalText(values, certificate) : null,
    passphrase: optionalText(values, `${key}_password`),
    keyInside: holds === 'certificate' && path.endsWith('certfile') && !values.has(key),
  }
}
