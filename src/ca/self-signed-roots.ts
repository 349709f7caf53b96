/**
 * The authority that a mesh made for itself, as it stands in Istio's Secret: the root that signs, and where a rotation is
 * under way also the one that will sign and those that signed. Pure. Istio's own keys mean what they mean to istiod; the
 * others are ours, and istiod passes them over.
 */
import {
  CertificateError,
  checkPair,
  formatCertificate,
  parseCertificates,
  parsePrivateKey,
} from "../lib/certificate.ts";
import { formatInstant, parseInstant } from "../lib/clock.ts";
import { SecretText } from "../lib/secret-text.ts";
import { type Authority, parseAuthority } from "./authority.ts";
import type { RetiredRoot } from "./authority-change.ts";
import { listRoots, mergeRoots } from "./trust-bundle.ts";

/** A root and its key, PEM. */
export interface RootPair {
  readonly certificate: string;
  readonly privateKey: SecretText;
}

export interface SelfSignedRoots {
  readonly signing: RootPair;
  /** In the trust bundle since then, and signs later. */
  readonly next?: RootPair & { readonly stagedAtMs: number };
  /** Signed before; they stay in the bundle until nothing below them can be valid any more. */
  readonly retired: readonly RetiredRoot[];
  /** Further roots that somebody put into root-cert.pem. */
  readonly more: string;
}

const [nextCertificateKey, nextKeyKey, rotationKey] = ["next-ca-cert.pem", "next-ca-key.pem", "rotation.json"];

/** Everything that is trusted, the root that signs first. */
export function listTrusted({ signing, next, retired, more }: SelfSignedRoots): string {
  const others = retired.map(({ certificate }) => certificate);
  return mergeRoots(signing.certificate, next?.certificate ?? "", ...others, more);
}

/** What a replica signs with and distributes. Throws CertificateError where the root that signs does not hold now. */
export function deriveSelfSignedAuthority(roots: SelfSignedRoots, nowMs: number): Authority {
  const { certificate, privateKey } = roots.signing;
  const texts = { certificate, privateKey: privateKey.reveal(), chain: "", roots: listTrusted(roots) };
  return parseAuthority(texts, nowMs);
}

/** Reads the texts of the Secret. Throws CertificateError where they are incomplete or damaged, whatever the time is. */
export function parseSelfSignedRoots(texts: ReadonlyMap<string, string>): SelfSignedRoots {
  const text = (key: string): string => texts.get(key) ?? "";
  const missing = ["ca-cert.pem", "ca-key.pem"].filter((key) => text(key).trim() === "");
  if (missing.length > 0) throw new CertificateError(`it lacks ${missing.join(", ")}`);
  const signing = parsePair(text("ca-cert.pem"), text("ca-key.pem"));
  const { stagedAtMs, retiredUntil } = parseRotation(text(rotationKey));
  const next =
    stagedAtMs === undefined || text(nextCertificateKey) === ""
      ? {}
      : { next: { ...parsePair(text(nextCertificateKey), text(nextKeyKey)), stagedAtMs } };
  const own = new Set(listRoots(signing.certificate, next.next?.certificate ?? "").map((root) => root.fingerprint256));
  const others = listRoots(text("root-cert.pem")).filter((root) => !own.has(root.fingerprint256));
  const retired = others.flatMap((root) => {
    const untilMs = retiredUntil.get(root.fingerprint256);
    return untilMs === undefined ? [] : [{ certificate: formatCertificate(root), untilMs }];
  });
  const more = others.filter((root) => !retiredUntil.has(root.fingerprint256)).map(formatCertificate);
  return { signing, ...next, retired, more: more.join("") };
}

function parsePair(certificateText: string, keyText: string): RootPair {
  const [certificate] = parseCertificates(certificateText, "the CA certificate");
  const key = parsePrivateKey(keyText, "the CA key");
  // Of an hour in its life: whether it holds now is for those to ask who want to sign.
  checkPair(certificate, key, certificate.validToDate.getTime() - 1);
  return {
    certificate: formatCertificate(certificate),
    privateKey: new SecretText(key.export({ type: "pkcs8", format: "pem" }).toString()),
  };
}

interface Rotation {
  readonly stagedAtMs: number | undefined;
  /** By SHA-256 fingerprint. */
  readonly retiredUntil: ReadonlyMap<string, number>;
}

/** What cannot be read counts as no rotation: then nothing is staged, and no root is ever taken away. */
function parseRotation(text: string): Rotation {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  const read = (from: unknown, key: string): unknown =>
    typeof from === "object" && from !== null && Object.hasOwn(from, key) ? Reflect.get(from, key) : undefined;
  const instant = (from: unknown, key: string): number | undefined => {
    const found = read(from, key);
    return typeof found === "string" ? parseInstant(found) : undefined;
  };
  const retired = read(value, "retired");
  const entries = (Array.isArray(retired) ? retired : []).flatMap((entry: unknown): readonly [string, number][] => {
    const [fingerprint, untilMs] = [read(entry, "sha256"), instant(entry, "until")];
    return typeof fingerprint === "string" && untilMs !== undefined ? [[fingerprint, untilMs]] : [];
  });
  return { stagedAtMs: instant(value, "stagedAt"), retiredUntil: new Map(entries) };
}

/**
 * The texts of the Secret: all keys that istiod writes (security/pkg/pki/ca, BuildSecret), "istio-generated" where the
 * Secret has the name of one that operators plug in, and ours where there is a rotation to remember.
 */
export function formatSelfSignedRoots(roots: SelfSignedRoots, isGenerated: boolean): ReadonlyMap<string, string> {
  const { signing, next, retired } = roots;
  const rotation = {
    ...(next === undefined ? {} : { stagedAt: formatInstant(next.stagedAtMs) }),
    retired: retired.flatMap(({ certificate, untilMs }) =>
      listRoots(certificate).map((root) => ({ sha256: root.fingerprint256, until: formatInstant(untilMs) })),
    ),
  };
  return new Map([
    ["ca-cert.pem", signing.certificate],
    ["ca-key.pem", signing.privateKey.reveal()],
    ["cert-chain.pem", ""],
    ["key.pem", ""],
    ["root-cert.pem", listTrusted(roots)],
    ...(isGenerated ? [["istio-generated", ""] as const] : []),
    ...(next === undefined
      ? []
      : ([
          [nextCertificateKey, next.certificate],
          [nextKeyKey, next.privateKey.reveal()],
        ] as const)),
    ...(next === undefined && retired.length === 0 ? [] : [[rotationKey, JSON.stringify(rotation)] as const]),
  ]);
}
