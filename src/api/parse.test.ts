import fc from "fast-check";
import { expect, test } from "vitest";
import { parseContent } from "../sources/content.ts";
import { parseObject, parseObjects } from "./parse.ts";

const virtualService = (spec: string): string =>
  `apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a, namespace: shop}\nspec:\n${spec}`;
const service = (rest: string): string => `apiVersion: v1\nkind: Service\nmetadata: {name: a}\n${rest}`;

/** Everything that is said about a text, one line a message: "level line path: text". */
function said(text: string): readonly string[] {
  return parseContent(text, "in.yaml").messages.map(
    ({ level, position, path, text: words }) => `${level} ${position?.line}:${position?.column} ${path}: ${words}`,
  );
}

const cases: readonly (readonly [name: string, text: string, expected: readonly string[]])[] = [
  [
    "a misspelt field names the field that was meant",
    virtualService("  hosts: [a]\n  http:\n  - rout:\n    - destination: {host: a}\n"),
    [
      'error 7:5 spec.http[0].rout: unknown field "rout", did you mean "route"?',
      "error 7:5 spec.http[0]: one of route, redirect, directResponse, delegate is required",
    ],
  ],
  [
    "a field that resembles nothing",
    virtualService("  hosts: [a]\n  zzzzzz: 1\n  http: [{route: [{destination: {host: a}}]}]\n"),
    ['error 6:3 spec.zzzzzz: unknown field "zzzzzz"'],
  ],
  [
    "a number in quotes that is none",
    virtualService('  hosts: [a]\n  http:\n  - route:\n    - destination: {host: a}\n      weight: "1.5"\n'),
    ["error 9:7 spec.http[0].route[0].weight: must be an integer, not a string"],
  ],
  [
    "a number where text belongs",
    virtualService(
      "  hosts: [a]\n  http:\n  - match: [{headers: {x: {exact: 1}}}]\n    route: [{destination: {host: a}}]\n",
    ),
    ['error 7:28 spec.http[0].match[0].headers.x.exact: must be a string, not a number (write "1" in quotes)'],
  ],
  [
    "a list where an object belongs",
    virtualService("  hosts: [a]\n  http:\n  - retries: []\n    route: [{destination: {host: a}}]\n"),
    ["error 7:5 spec.http[0].retries: must be an object, not a list"],
  ],
  [
    "a duration without a unit",
    virtualService(
      "  hosts: [a]\n  http:\n  - timeout: 5\n    route: [{destination: {host: a}}]\n  - timeout: 5x\n    route: [{destination: {host: a}}]\n",
    ),
    [
      'error 7:5 spec.http[0].timeout: must be a string, not a number (write "5" in quotes)',
      'error 9:5 spec.http[1].timeout: must be a duration such as "5s", "100ms" or "1h30m"',
    ],
  ],
  [
    "a word that is not one of the list",
    "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a}\nspec:\n  host: a\n  trafficPolicy:\n    loadBalancer: {simple: ROUND_ROBBIN}\n",
    [
      'error 7:20 spec.trafficPolicy.loadBalancer.simple: must be one of UNSPECIFIED, LEAST_CONN, RANDOM, PASSTHROUGH, ROUND_ROBIN, LEAST_REQUEST, did you mean "ROUND_ROBIN"?',
    ],
  ],
  [
    "a field that is missing",
    "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a}\nspec:\n  subsets: [{name: v1}]\n",
    ["error 4:1 spec.host: is required"],
  ],
  [
    "a number out of range",
    "apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: a}\nspec:\n  address: 10.0.0.1\n  weight: -1\n",
    ["error 6:3 spec.weight: must be at least 0"],
  ],
  [
    "metadata without a name",
    "apiVersion: v1\nkind: Service\nmetadata: {}\n",
    ["error 3:1 metadata.name: is required"],
  ],
  [
    "a name that Kubernetes does not take",
    "apiVersion: v1\nkind: Service\nmetadata: {name: My_Service}\n",
    ['error 3:12 metadata.name: "My_Service" is not a valid name: lower-case letters, digits, "-" and "."'],
  ],
  [
    "a port of a Service that is none",
    service("spec:\n  ports:\n  - port: 99999\n"),
    ["error 6:5 spec.ports[0].port: must be a port from 1 to 65535"],
  ],
  [
    "a port to send to that is none",
    service(
      "spec:\n  ports: [{port: 1, targetPort: -1}, {name: b, port: 2, targetPort: a_b}, {name: c, port: 3, nodePort: 99999}]\n",
    ),
    [
      "error 5:21 spec.ports[0].targetPort: must be a port from 1 to 65535",
      "error 5:57 spec.ports[1].targetPort: must be a port from 1 to 65535 or the name of a container's port",
      "error 5:94 spec.ports[2].nodePort: must be a port from 1 to 65535",
    ],
  ],
  [
    "ports of a Service that nothing tells apart",
    service("spec:\n  ports: [{port: 1}, {port: 1}]\n"),
    ['error 5:22 spec.ports[1]: port name "" is given twice', 'error 5:22 spec.ports[1]: port "1/TCP" is given twice'],
  ],
  [
    "addresses of a Service that are none",
    service("spec:\n  clusterIP: a\n  externalIPs: [10.0.0.300]\n"),
    [
      'error 5:3 spec.clusterIP: "a" is not an IP address',
      'error 6:17 spec.externalIPs[0]: "10.0.0.300" is not an IP address',
    ],
  ],
  [
    "a name of a Service that is no label",
    "apiVersion: v1\nkind: Service\nmetadata: {name: a.b}\n",
    ["error 3:12 metadata.name: of a Service must not have dots"],
  ],
  [
    "addresses and ports of an EndpointSlice that are none",
    "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: a}\naddressType: IPv4\nports: [{port: 0}]\nendpoints: [{addresses: [a.example]}]\n",
    [
      "error 5:10 ports[0].port: must be a port from 1 to 65535",
      'error 6:26 endpoints[0].addresses[0]: "a.example" is not an IP address',
    ],
  ],
  [
    "an address of a Pod that is none",
    "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nstatus: {podIP: a}\n",
    ['error 4:10 status.podIP: "a" is not an IP address'],
  ],
  [
    "a selector of a Service that is a list",
    service("spec:\n  selector: [a]\n"),
    ["error 5:3 spec.selector: must be an object, not a list"],
  ],
  [
    "a document that is not an object",
    "- a\n- b\n",
    ["error 1:1 : must be an object with apiVersion and kind, not a list"],
  ],
  ["an object without a kind", "apiVersion: v1\n", ["error 1:1 : has no kind"]],
  [
    "a kind that is misspelt",
    "apiVersion: v1\nkind: Servcie\nmetadata: {name: a}\n",
    ["warning 2:1 kind: unknown kind Servcie of v1, did you mean Service?"],
  ],
  [
    "a version that is not served",
    "apiVersion: networking.istio.io/v2\nkind: Sidecar\nmetadata: {name: a}\n",
    [
      "error 1:1 apiVersion: networking.istio.io/v2 has no kind Sidecar that is read here, did you mean networking.istio.io/v1 or networking.istio.io/v1beta1 or networking.istio.io/v1alpha3?",
    ],
  ],
  [
    "a kind that is not translated yet",
    "apiVersion: extensions.istio.io/v1alpha1\nkind: TrafficExtension\nmetadata: {name: a}\nspec: {lua: {inlineCode: x}}\n",
    ["warning 2:1 kind: kind TrafficExtension is not translated yet by this version"],
  ],
  [
    "a kind that is not read at all",
    "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: a}\n",
    ["warning 2:1 kind: kind HTTPRoute is not translated yet by this version"],
  ],
  [
    "a Deployment beside the rest",
    "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n",
    ["info 2:1 kind: kind Deployment has no meaning for the mesh"],
  ],
  [
    "a field beside spec",
    "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: a}\nspce: {}\nspec:\n  egress: [{hosts: ['./*']}]\n",
    ['error 4:1 spce: unknown field "spce", did you mean "spec"?'],
  ],
  [
    "an infinite number",
    "apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: a}\nspec: {address: 10.0.0.1, weight: .inf}\n",
    ["error 4:27 spec.weight: must be a finite number"],
  ],
];

test.each(cases)("says in words and with the place: %s", (_name, text, expected) => {
  expect(said(text)).toEqual(expected);
});

test("served versions all parse, and null counts as absent", () => {
  for (const version of ["v1", "v1beta1", "v1alpha3"]) {
    const raw = {
      apiVersion: `networking.istio.io/${version}`,
      kind: "VirtualService",
      metadata: { name: "a", creationTimestamp: null, generation: 3, labels: { x: "y" } },
      spec: { hosts: ["a"], tcp: null, http: [{ route: [{ destination: { host: "a" }, weight: null }] }] },
      status: {},
    };
    const { object, messages } = parseObject(raw);
    expect(messages).toEqual([]);
    expect(object).toEqual({
      apiVersion: raw.apiVersion,
      kind: "VirtualService",
      meta: { name: "a", namespace: "default", labels: { x: "y" }, annotations: {}, generation: 3 },
      spec: { hosts: ["a"], http: [{ route: [{ destination: { host: "a" } }] }] },
    });
  }
});

test("a List gives its items, each with its own place", () => {
  const text = `apiVersion: v1\nkind: List\nitems:\n- ${service("").replaceAll("\n", "\n  ")}\n- apiVersion: v1\n  kind: Service\n  metadata: {name: b}\n  spec: {type: Odd}\n`;
  const content = parseContent(text, "in.yaml");
  expect([...content.objects.keys()]).toEqual(["Service/default/a"]);
  expect(content.messages.map(({ object, position, path }) => [object.name, position?.line, path])).toEqual([
    ["b", 11, "spec.type"],
  ]);
});

test("Kubernetes objects become slim records", () => {
  const slice = {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name: "a-1", namespace: "shop", labels: { "kubernetes.io/service-name": "a" } },
    addressType: "IPv4",
    ports: [{ name: "http", port: 8080, protocol: "TCP" }, { name: "all" }],
    endpoints: [
      {
        addresses: ["10.0.0.1"],
        conditions: { ready: false, serving: true, terminating: true },
        targetRef: { kind: "Pod", name: "p" },
      },
      { addresses: ["10.0.0.2"], nodeName: "n", zone: "z", other: 1 },
    ],
  };
  expect(parseObject(slice).object?.spec).toEqual({
    serviceName: "a",
    addressType: "IPv4",
    ports: [{ name: "http", port: 8080, protocol: "TCP" }],
    endpoints: [
      {
        addresses: ["10.0.0.1"],
        ready: false,
        serving: true,
        terminating: true,
        targetRef: { kind: "Pod", namespace: "shop", name: "p" },
      },
      { addresses: ["10.0.0.2"], ready: true, serving: true, terminating: false, nodeName: "n", zone: "z" },
    ],
  });
  const secret = {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "s" },
    type: "kubernetes.io/tls",
    data: { "tls.crt": "aGVsbG8=" },
  };
  expect(parseObject(secret).object?.spec).toEqual({
    type: "kubernetes.io/tls",
    data: { "tls.crt": new Uint8Array(Buffer.from("hello")) },
  });
});

test("never throws and never lets prototypes through, whatever the content is", () => {
  const kinds = fc.constantFrom(
    "Service",
    "Pod",
    "EndpointSlice",
    "Secret",
    "VirtualService",
    "DestinationRule",
    "Gateway",
    "ServiceEntry",
    "Sidecar",
    "List",
  );
  const versions = fc.constantFrom("v1", "networking.istio.io/v1", "discovery.k8s.io/v1");
  fc.assert(
    fc.property(
      kinds,
      versions,
      fc.object({ maxDepth: 4, withNullPrototype: true }),
      fc.anything(),
      (kind, apiVersion, spec, metadata) => {
        const name = { name: "a", ...(typeof metadata === "object" ? metadata : {}) };
        for (const { messages } of parseObjects({
          apiVersion,
          kind,
          metadata: name,
          spec,
          items: [spec],
          ports: spec,
          endpoints: spec,
        })) {
          expect(Array.isArray(messages)).toBe(true);
        }
        expect(Array.isArray(parseObjects(metadata))).toBe(true);
      },
    ),
    { numRuns: 300 },
  );
  const sly = JSON.parse(
    '{"apiVersion":"networking.istio.io/v1","kind":"DestinationRule","metadata":{"name":"a"},"spec":{"host":"a","__proto__":{"x":1},"constructor":{},"toString":1}}',
  );
  expect(parseObject(sly).messages.map((message) => message.path)).toEqual([
    "spec.__proto__",
    "spec.constructor",
    "spec.toString",
  ]);
});

test("nesting without end is an error", () => {
  let deep: unknown = "x";
  for (let level = 0; level < 50_000; level++) deep = { a: deep };
  const { messages } = parseObject({
    apiVersion: "networking.istio.io/v1",
    kind: "Sidecar",
    metadata: { name: "a" },
    spec: deep,
  });
  expect(messages.map((message) => message.code)).toContain("too-deep");
});
