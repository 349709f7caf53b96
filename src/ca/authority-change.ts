/**
 * One authority takes over from another without a certificate that somebody cannot check yet (check 24: a root is
 * distributed before anything is signed below it). Pure: what is stored comes in, what signs and what is trusted comes out.
 */
import { X509Certificate } from "node:crypto";
import { formatCertificate } from "../lib/certificate.ts";
import type { Authority } from "./authority.ts";
import { findAnchors, holdsAnyRoot, listRoots, mergeRoots } from "./trust-bundle.ts";

export interface AuthorityState {
  /** What signs now, as it was read. */
  readonly signing: Authority;
  /** Will sign; its roots are distributed already. */
  readonly staged?: { readonly authority: Authority; readonly signsAtMs: number };
  /** Roots that nobody names any more and that certificates in use still lead to. */
  readonly retired: readonly RetiredRoot[];
}

export interface RetiredRoot {
  readonly certificate: string;
  readonly untilMs: number;
}

export interface ChangeRules {
  readonly nowMs: number;
  /** How long new roots are distributed before anything is signed below them. */
  readonly overlapMs: number;
  /** The longest life of a certificate that was issued: so long a root stays after the last signature below it. */
  readonly leafLifetimeMs: number;
}

export const beginAuthority = (signing: Authority): AuthorityState => ({ signing, retired: [] });

/**
 * What becomes of the state when `next` is what is stored now. An authority below roots that are distributed takes over at
 * once; another waits for the overlap, or until the one before it ends. Roots that the operator takes away while the same
 * authority signs are gone at once: that is his decision.
 */
export function advanceAuthority(state: AuthorityState, next: Authority, rules: ChangeRules): AuthorityState {
  const { nowMs } = rules;
  const retired = state.retired.filter(({ untilMs }) => untilMs > nowMs);
  const anchors = findAnchors(next);
  const distributed = mergeRoots(state.signing.roots, ...retired.map(({ certificate }) => certificate));
  if (holdsAnyRoot(distributed, anchors)) return takeOver({ ...state, retired }, next, rules);
  const { staged } = state;
  const signsAtMs =
    staged !== undefined && holdsAnyRoot(staged.authority.roots, anchors)
      ? staged.signsAtMs
      : Math.min(nowMs + rules.overlapMs, endOf(state.signing.certificate));
  if (signsAtMs <= nowMs) return takeOver({ ...state, retired }, next, rules);
  return { signing: state.signing, staged: { authority: next, signsAtMs }, retired };
}

function takeOver(
  state: AuthorityState,
  next: Authority,
  { nowMs, leafLifetimeMs }: Omit<ChangeRules, "overlapMs">,
): AuthorityState {
  const hasChangedSigner = state.signing.certificate !== next.certificate;
  const leaving = hasChangedSigner ? findAnchors(state.signing) : [];
  const added = leaving.map((root) => ({
    certificate: formatCertificate(root),
    untilMs: Math.min(nowMs + leafLifetimeMs, root.validToDate.getTime()),
  }));
  const retired = [...state.retired, ...added].filter(
    ({ certificate, untilMs }) => untilMs > nowMs && !holdsAnyRoot(next.roots, listRoots(certificate)),
  );
  return { signing: next, retired };
}

/** The authority to use: its roots are all that are trusted, those of the signer first. */
export function deriveAuthority({ signing, staged, retired }: AuthorityState): Authority {
  const others = [staged?.authority.roots ?? "", ...retired.map(({ certificate }) => certificate)];
  // Whom a list of the next authority revokes is revoked already.
  const crls = [...new Set([signing.crl ?? "", staged?.authority.crl ?? ""])].join("");
  const { crl: _, ...rest } = signing;
  return { ...rest, roots: mergeRoots(signing.roots, ...others), ...(crls === "" ? {} : { crl: crls }) };
}

const endOf = (certificate: string): number => new X509Certificate(certificate).validToDate.getTime();
