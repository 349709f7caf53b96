import { expect, test } from "vitest";
import { parseObject } from "../parse.ts";

/** What is said about a spec, one line a message. */
function said(spec: unknown): readonly string[] {
  const raw = { apiVersion: "security.istio.io/v1beta1", kind: "PeerAuthentication", metadata: { name: "a" }, spec };
  return parseObject(raw).messages.map(({ level, path, text }) => `${level} ${path}: ${text}`);
}

const selector = { matchLabels: { app: "a" } };

test.each([
  [{}],
  [{ mtls: { mode: "STRICT" } }],
  [{ mtls: null, selector: null, portLevelMtls: null }],
  [{ mtls: { mode: 3 } }],
  [{ selector, mtls: {}, port_level_mtls: { "8080": { mode: "DISABLE" }, "1": {}, "65535": null } }],
  [{ selector: { matchLabels: { "no label": "of any workload" } } }],
])("nothing is said about %j", (spec) => expect(said(spec)).toEqual([]));

const invalidPort = "must be a port from 1 to 65535";
test.each<readonly [unknown, ...string[]]>([
  [{ selector: {} }, "warning spec.selector: has no labels, so that it selects every workload of the namespace"],
  [{ portLevelMtls: {} }, "error spec.portLevelMtls: must name at least one port"],
  [{ selector, portLevelMtls: {} }, "error spec.portLevelMtls: must name at least one port"],
  [{ portLevelMtls: { "8080": {} } }, "error spec.portLevelMtls: needs a selector"],
  [
    { selector: { matchLabels: {} }, portLevelMtls: { "8080": {} } },
    "warning spec.selector: has no labels, so that it selects every workload of the namespace",
    "error spec.portLevelMtls: needs a selector",
  ],
  ...["0", "65536", "-1", "http", "08080", "8080.0", ""].map((port): readonly [unknown, string] => [
    { selector, portLevelMtls: { [port]: {} } },
    `error spec.portLevelMtls${/^[a-z]/.test(port) ? `.${port}` : `["${port}"]`}: ${invalidPort}`,
  ]),
  [
    { selector: { matchLabels: { "a*": "b", c: "*", "": "d" } } },
    'error spec.selector.matchLabels["a*"]: "*" has no meaning here: labels are compared as they are',
    'error spec.selector.matchLabels.c: "*" has no meaning here: labels are compared as they are',
    "error spec.selector.matchLabels: the name of a label must not be empty",
  ],
  [{ mtls: { mode: "MUTUAL" } }, "error spec.mtls.mode: must be one of UNSET, DISABLE, PERMISSIVE, STRICT"],
  [{ mtls: [] }, "error spec.mtls: must be an object, not a list"],
  [{ mtsl: {} }, 'error spec.mtsl: unknown field "mtsl", did you mean "mtls"?'],
])("%j", (spec, ...expected) => expect(said(spec)).toEqual(expected));
