/** Who may see which debug page (Istio: pilot/pkg/xds/debug.go, AuthorizeDebugRequest; row D7). */
import type { SecretText } from "../../lib/secret-text.ts";
import type { DebugPort } from "../ports.ts";

export interface DebugAccess {
  /**
   * The namespace of who holds these tokens; undefined where they prove nothing, and where nothing can tell. Never
   * rejects.
   */
  authenticate(bearerTokens: readonly SecretText[]): Promise<string | undefined>;
  readonly rules: DebugRules;
}

export interface DebugRules {
  /** False: whoever has proven to be anybody sees everything (ENABLE_DEBUG_ENDPOINT_AUTH). */
  readonly checksNamespace: boolean;
  /** Callers from there see everything. */
  systemNamespace(): string;
  /** The same, of more namespaces (DEBUG_ENDPOINT_AUTH_ALLOWED_NAMESPACES). */
  readonly allowedNamespaces: ReadonlySet<string>;
}

/** What somebody sees: the whole mesh, or proxies of one namespace alone. */
export type DebugReader = { readonly kind: "everything" } | { readonly kind: "namespace"; readonly namespace: string };

/** Pages about one proxy, which those of its namespace may see. */
const pagesOfNamespaces: ReadonlySet<string> = new Set(["config_dump", "ndsz", "edsz"]);

/** As what somebody of `namespace` may see `page`; undefined where they may not. */
export function authorizeDebug(page: string, namespace: string, rules: DebugRules): DebugReader | undefined {
  if (!rules.checksNamespace) return { kind: "everything" };
  if (namespace === "") return undefined;
  if (namespace === rules.systemNamespace() || rules.allowedNamespaces.has(namespace)) return { kind: "everything" };
  return pagesOfNamespaces.has(page) ? { kind: "namespace", namespace } : undefined;
}

/** The port as a reader sees it: proxies of other namespaces are not there, so no page can show them. */
export function confinePort(port: DebugPort, reader: DebugReader): DebugPort {
  if (reader.kind === "everything") return port;
  return {
    ...port,
    listConnections: () => port.listConnections().filter(({ proxy }) => proxy.namespace === reader.namespace),
  };
}
