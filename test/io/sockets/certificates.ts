/** Certificates for tests, made with openssl: authorities, servers and clients. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export type Certificate = {
  readonly cert: string
  readonly key: string
  /** The same as files. */
  readonly certFile: string
  readonly keyFile: string
}

const EC = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']

export function makeAuthority(dir: string, name: string): Certificate {
  const files = filesOf(dir, name)
  openssl(['req', '-x509', ...EC, '-subj', `/CN=${name}`, ...files.args])
  return readFiles(files)
}

/** `names`: subject alternative names as openssl writes them, such as `DNS:db,IP:127.0.0.1`. */
export function makeCertificate(
  dir: string,
  authority: Certificate,
  commonName: string,
  names = 'DNS:localhost,IP:127.0.0.1',
  label = commonName,
): Certificate {
  const files = filesOf(dir, label)
  const request = join(dir, `${label}.csr`)
  const extensions = join(dir, `${label}.ext`)
  writeFileSync(extensions, `subjectAltName=${names}\n`)
  openssl(['req', ...EC, '-subj', `/CN=${commonName}`, '-keyout', files.key, '-out', request])
  const signer = ['-CA', authority.certFile, '-CAkey', authority.keyFile, '-CAcreateserial']
  const output = ['-extfile', extensions, '-days', '2', '-out', files.cert]
  openssl(['x509', '-req', '-in', request, ...signer, ...output])
  return readFiles(files)
}

type Files = { readonly cert: string; readonly key: string; readonly args: readonly string[] }

function filesOf(dir: string, name: string): Files {
  mkdirSync(dir, { recursive: true })
  const cert = join(dir, `${name}.crt`)
  const key = join(dir, `${name}.key`)
  return { cert, key, args: ['-keyout', key, '-out', cert] }
}

function readFiles({ cert, key }: Files): Certificate {
  return {
    cert: readFileSync(cert, 'utf8'),
    key: readFileSync(key, 'utf8'),
    certFile: cert,
    keyFile: key,
  }
}

function openssl(args: readonly string[]): void {
  execFileSync('openssl', args, { stdio: 'pipe' })
}
