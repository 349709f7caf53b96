import { expect, test } from "vitest";
import { parseObject } from "../parse.ts";

/** What is said about a spec, one line a message, without notices about fields that agents read. */
function said(spec: unknown, version = "v1"): readonly string[] {
  const raw = { apiVersion: `networking.istio.io/${version}`, kind: "WorkloadGroup", metadata: { name: "a" }, spec };
  return parseObject(raw)
    .messages.filter(({ code }) => code !== "untranslated-field")
    .map(({ level, path, text }) => `${level} ${path}: ${text}`);
}

const probe = (fields: object): unknown => ({ template: {}, probe: fields });

test.each([
  [{ template: {} }],
  [{ template: { ports: { http: 0 }, labels: { "a b": "*" }, address: "not / an address", weight: 1 } }],
  [{ metadata: { labels: { "app.kubernetes.io/name": "a", b: "" }, annotations: { "a b": "c" } }, template: {} }],
  [{ metadata: null, template: {}, probe: null }],
  [probe({ httpGet: { port: 80 }, initialDelaySeconds: 1, timeoutSeconds: 2, periodSeconds: 3 })],
  [probe({ httpGet: { port: 1, scheme: "HTTPS", path: "x", host: "h", httpHeaders: [{ name: "X-a", value: "" }] } })],
  [probe({ tcp_socket: { port: "65535" }, success_threshold: 1, failureThreshold: 0 })],
  [probe({ exec: { command: [""] } })],
])("nothing is said about %j", (spec) => {
  for (const version of ["v1", "v1beta1", "v1alpha3"]) expect(said(spec, version)).toEqual([]);
});

test.each<readonly [unknown, ...string[]]>([
  [{}, "error spec.template: is required"],
  [{ template: null }, "error spec.template: is required"],
  [
    { metadata: { labels: { "-": "a", b: "-" } }, template: {} },
    'error spec.metadata.labels["-"]: "-" is not a valid label name',
    'error spec.metadata.labels.b: "-" is not a valid label value',
  ],
  [probe({}), "error spec.probe: one of httpGet, tcpSocket, exec is required"],
  [
    probe({ tcpSocket: { port: 1 }, exec: { command: ["a"] } }),
    "error spec.probe: only one of tcpSocket, exec may be set",
  ],
  [
    probe({ grpc: { port: 1, service: "s" } }),
    "error spec.probe.grpc: is refused by istiod: use httpGet, tcpSocket or exec",
  ],
  ...["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"].map(
    (field): readonly [unknown, string] => [
      probe({ [field]: -1, exec: { command: ["a"] } }),
      `error spec.probe.${field}: must not be negative`,
    ],
  ),
  [probe({ httpGet: {} }), "error spec.probe.httpGet.port: must be a port from 1 to 65535"],
  [probe({ tcpSocket: { port: 65536 } }), "error spec.probe.tcpSocket.port: must be a port from 1 to 65535"],
  [probe({ httpGet: { port: 1, scheme: "http" } }), "error spec.probe.httpGet.scheme: must be HTTP or HTTPS"],
  ...["", "a_b", "a:b"].map((name): readonly [unknown, string] => [
    probe({ httpGet: { port: 1, httpHeaders: [{ name }] } }),
    `error spec.probe.httpGet.httpHeaders[0].name: "${name}" is not a valid header name: letters, digits and "-"`,
  ]),
  [probe({ exec: {} }), "error spec.probe.exec.command: is required"],
  [probe({ exec: { command: "a" } }), "error spec.probe.exec.command: must be a list, not a string"],
  [
    { templte: {} },
    'error spec.templte: unknown field "templte", did you mean "template"?',
    "error spec.template: is required",
  ],
])("%j", (spec, ...expected) => expect(said(spec)).toEqual(expected));
