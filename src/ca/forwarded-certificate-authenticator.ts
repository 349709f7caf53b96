/**
 * Certificates that a gateway in front of us was shown: where it ends TLS it says so in x-forwarded-client-cert (Istio:
 * security/pkg/server/ca/authenticate/xfcc_authenticator.go). Anybody can write a header, so only the addresses of such
 * gateways are believed.
 */
import { BlockList, isIP, isIPv4 } from "node:net";
import type { Authentication, Authenticator } from "../lib/caller.ts";
import { readIdentity } from "./certificate-authenticator.ts";

export interface ForwardedCertificateOptions {
  /** Networks of gateways, "10.0.0.0/8" (TRUSTED_GATEWAY_CIDR); this machine is one of them always. */
  readonly networks: BlockList;
  /** The trust domain of the mesh and its aliases, as they are now. */
  readonly trustDomains: () => readonly string[];
}

/** Takes a header that tells of one certificate with one URI, an identity of one of our trust domains. */
export function createForwardedCertificateAuthenticator(options: ForwardedCertificateOptions): Authenticator {
  const { networks, trustDomains } = options;
  return {
    name: "forwarded certificate",
    async authenticate({ peer = "", forwardedCertificates = [] }) {
      const [header] = forwardedCertificates;
      if (header === undefined) return { kind: "absent" };
      if (!isTrusted(peer, networks)) return refuse("the header x-forwarded-client-cert comes from no trusted network");
      const uris = forwardedCertificates.length > 1 ? undefined : listUris(header);
      const [uri] = uris ?? [];
      if (uri === undefined || uris?.length !== 1) {
        return refuse("the header x-forwarded-client-cert must name one certificate with one URI");
      }
      const identity = readIdentity(uri, trustDomains());
      if (typeof identity === "string") return refuse(identity);
      return { kind: "authenticated", caller: { identity, source: "forwarded certificate" } };
    },
  };
}

const refuse = (reason: string): Authentication => ({ kind: "refused", reason });

/** Networks of a list with commas, and this machine; what is none is given back. */
export function parseNetworks(list: string): { readonly networks: BlockList; readonly problems: readonly string[] } {
  const networks = new BlockList();
  networks.addSubnet("127.0.0.0", 8, "ipv4");
  networks.addAddress("::1", "ipv6");
  const problems: string[] = [];
  for (const text of list.split(",").flatMap((part) => part.trim() || [])) {
    const [address = "", length = ""] = text.split("/");
    const size = isIPv4(address) ? 32 : 128;
    if (isIP(address) === 0 || !/^\d{1,3}$/.test(length) || Number(length) > size) problems.push(text);
    else networks.addSubnet(address, Number(length), size === 32 ? "ipv4" : "ipv6");
  }
  return { networks, problems };
}

function isTrusted(peer: string, networks: BlockList): boolean {
  const host = peer.slice(0, peer.lastIndexOf(":")).replaceAll(/^\[|\]$/g, "");
  // A socket for both families shows IPv4 in this way.
  const address = host.startsWith("::ffff:") ? host.slice("::ffff:".length) : host;
  if (isIP(address) === 0) return false;
  return networks.check(address, isIPv4(address) ? "ipv4" : "ipv6");
}

// One part of an element: a key, and a value that is in quotation marks where it has other separators in it.
const partForm = /([A-Za-z]+)=("(?:[^"\\]|\\.)*"|[^,;="]*)(;|,|$)/y;

/** The URIs of a header with one element; undefined where it has several, or cannot be read. */
function listUris(header: string): readonly string[] | undefined {
  const uris: string[] = [];
  partForm.lastIndex = 0;
  while (partForm.lastIndex < header.length) {
    const [, key = "", value = "", end] = partForm.exec(header) ?? [];
    if (key === "" || end === ",") return undefined;
    if (key.toLowerCase() === "uri") uris.push(value.replaceAll(/^"|"$/g, ""));
  }
  return uris;
}
