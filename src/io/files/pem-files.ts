/** Reads the PEM files a configuration names and reports what a TLS handshake would stumble over. */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import type { Examination, PemUse } from '../../core/config/index.ts'

/** Largest PEM file that is read; bundles of all public authorities are a quarter of it. */
const PEM_BYTES_MAX = 1024 * 1024

/** Fills `files` with the texts by path. */
export function checkPemFiles(examination: Examination, files: Map<string, string>): void {
  for (const use of examination.pemUses) {
    const text = files.get(use.file) ?? readPem(use, examination)
    if (text === null) continue
    files.set(use.file, text)
    if (use.holds === 'key') checkKey(use, text, examination)
    else checkCertificates(use, text, examination)
  }
}

function readPem(use: PemUse, { log }: Examination): string | null {
  try {
    const stat = statSync(use.file)
    if (stat.isFile() && stat.size <= PEM_BYTES_MAX) return readFileSync(use.file, 'utf8')
    log.error(use.path, `found ${use.file}; accepted: a PEM file of at most ${PEM_BYTES_MAX} bytes`)
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT'
    const why = missing ? 'which does not exist' : "which can't be read"
    log.error(use.path, `found ${use.file}, ${why}; accepted: a readable PEM file`)
  }
  return null
}

const CERTIFICATE = /-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----[^-]+-----END [^-]+-----/g

function checkCertificates(use: PemUse, text: string, { log }: Examination): void {
  const certificates = (text.match(CERTIFICATE) ?? []).map(parseCertificate)
  const readable = certificates.filter((it) => it !== null)
  if (readable.length === 0 || readable.length < certificates.length) {
    const what = certificates.length === 0 ? 'holds no certificate' : 'holds a broken certificate'
    return log.error(use.path, `found ${use.file}, which ${what}; accepted: PEM certificates`)
  }
  const now = Date.now()
  for (const certificate of readable) {
    const span = `valid from ${certificate.validFrom} to ${certificate.validTo}`
    if (now > Date.parse(certificate.validTo)) {
      log.warning(use.path, `found ${use.file}, which has expired (${span})`)
    } else if (now < Date.parse(certificate.validFrom)) {
      log.warning(use.path, `found ${use.file}, which is not valid yet (${span})`)
    }
  }
  if (use.keyInside) checkKey({ ...use, certificateFile: use.file }, text, { log })
}

function parseCertificate(pem: string): X509Certificate | null {
  try {
    return new X509Certificate(pem)
  } catch {
    return null
  }
}

function checkKey(use: PemUse, text: string, { log }: Pick<Examination, 'log'>): void {
  const key = parseKey(text, use.passphrase)
  if (typeof key === 'string') {
    return log.error(use.path, `found ${use.file}, ${key}; accepted: a private key in PEM format`)
  }
  const certificate = use.certificateFile === null ? null : ownCertificate(use.certificateFile)
  if (certificate !== null && !certificate.checkPrivateKey(key)) {
    const words = `which is not the key of ${use.certificateFile}; accepted: the matching key`
    log.error(use.path, `found ${use.file}, ${words}`)
  }
}

function parseKey(text: string, passphrase: string | null): KeyObject | string {
  const encrypted = /ENCRYPTED/.test(text)
  if (encrypted && passphrase === null) return 'which needs a passphrase'
  try {
    return createPrivateKey(passphrase === null ? text : { key: text, passphrase })
  } catch {
    return encrypted ? 'which the passphrase does not open' : 'which holds no private key'
  }
}

/** The first certificate of a chain; null when it can't be read, which is reported where it stands. */
function ownCertificate(file: string): X509Certificate | null {
  try {
    return parseCertificate(readFileSync(file, 'utf8').match(CERTIFICATE)?.[0] ?? '')
  } catch {
    return null
  }
}
