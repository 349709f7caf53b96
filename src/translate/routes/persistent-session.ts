/**
 * Sessions that stay with one endpoint, for services that a label asks it for (Istio: MaybeBuildStatefulSessionFilterConfig
 * of networking/util, row C105). Envoy finds the endpoint by what the cookie or header itself says.
 */
import { packAny } from "@meltemi/protos";
import type { VirtualHost } from "@meltemi/protos/envoy/config/route/v3";
import type { Labels } from "../../api/object.ts";
import { hasExtension } from "../capabilities.ts";
import type { ScopeView } from "../scope.ts";

export const sessionFilter = "envoy.filters.http.stateful_session";

type FilterConfigs = NonNullable<VirtualHost["typed_per_filter_config"]>;

/** How a service keeps sessions: "cookie NAME:PATH", "cookie NAME" or "header NAME"; undefined where it keeps none. */
export function findPersistentSession(
  service: { readonly labels: Labels } | undefined,
  { snapshot, key }: ScopeView,
): string | undefined {
  const { persistentSessions, persistentSessionLabel, persistentSessionHeaderLabel } = snapshot.features;
  if (!persistentSessions || service === undefined || !hasExtension(key.capabilities, sessionFilter)) return undefined;
  const cookie = service.labels[persistentSessionLabel] ?? "";
  if (cookie !== "") return `cookie ${cookie}`;
  const header = service.labels[persistentSessionHeaderLabel] ?? "";
  return header === "" ? undefined : `header ${header}`;
}

/**
 * The session of a route with several destinations. Istio goes by the last one, unless that and an earlier one both keep
 * sessions: then by the earlier.
 */
export function combineSessions(sessions: readonly (string | undefined)[]): string | undefined {
  let found: string | undefined;
  for (const session of sessions) {
    if (session !== undefined && found !== undefined) return found;
    found = session;
  }
  return found;
}

/** The settings of a virtual host or a route for a session; none where there is no session. */
export function buildSessionConfig(session: string | undefined): FilterConfigs {
  if (session === undefined) return {};
  return {
    [sessionFilter]: packAny("envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute", {
      stateful_session: { session_state: buildSessionState(session) },
    }),
  };
}

function buildSessionState(session: string) {
  const space = session.indexOf(" ");
  const [kind, value] = [session.slice(0, space), session.slice(space + 1)];
  if (kind === "header") {
    return {
      name: "envoy.http.stateful_session.header",
      typed_config: packAny("envoy.extensions.http.stateful_session.header.v3.HeaderBasedSessionState", {
        name: value,
      }),
    };
  }
  const colon = value.indexOf(":");
  // Without a time to live it is a cookie of the browser's session.
  const cookie = colon < 0 ? { name: value, path: "/" } : { name: value.slice(0, colon), path: value.slice(colon + 1) };
  return {
    name: "envoy.http.stateful_session.cookie",
    typed_config: packAny("envoy.extensions.http.stateful_session.cookie.v3.CookieBasedSessionState", { cookie }),
  };
}
