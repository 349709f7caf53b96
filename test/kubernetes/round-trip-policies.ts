/** Specs of the other groups of Istio that together set every field that their CRDs have. */

type Spec = Readonly<Record<string, unknown>>;

const selector = { matchLabels: { app: "web" } };
const gatewayRef = { group: "gateway.networking.k8s.io", kind: "Gateway", name: "edge", namespace: "" };
/** The three ways to attach a policy. */
const attached = (spec: Spec): readonly Spec[] => [
  { ...spec, selector },
  { ...spec, targetRef: gatewayRef },
  { ...spec, targetRefs: [gatewayRef, { group: "", kind: "Service", name: "reviews" }] },
];

export const peerAuthentications: readonly Spec[] = [
  { selector, mtls: { mode: "STRICT" }, portLevelMtls: { 8080: { mode: "DISABLE" } } },
];

const both = (field: string, values: readonly string[]): Spec => ({
  [field]: values,
  [`not${field.charAt(0).toUpperCase()}${field.slice(1)}`]: values,
});

export const authorizationPolicies: readonly Spec[] = [
  ...attached({
    action: "DENY",
    rules: [
      {
        from: [
          {
            source: {
              ...both("principals", ["cluster.local/ns/shop/sa/web"]),
              ...both("requestPrincipals", ["issuer/subject"]),
              ...both("namespaces", ["shop"]),
              ...both("trustDomains", ["cluster.local"]),
              ...both("ipBlocks", ["10.0.0.0/8"]),
              ...both("remoteIpBlocks", ["192.0.2.1"]),
            },
          },
          { source: both("serviceAccounts", ["shop/web"]) },
        ],
        to: [
          {
            operation: {
              ...both("hosts", ["shop.example.com"]),
              ...both("ports", ["80"]),
              ...both("methods", ["GET"]),
              ...both("paths", ["/a/*"]),
            },
          },
        ],
        when: [{ key: "request.headers[x-user]", values: ["a"], notValues: ["b"] }],
      },
    ],
  }),
  { action: "CUSTOM", provider: { name: "ext-authz" }, rules: [{ to: [{ operation: { paths: ["/admin"] } }] }] },
];

export const requestAuthentications: readonly Spec[] = attached({
  jwtRules: [
    {
      issuer: "https://issuer.example.com",
      audiences: ["shop"],
      jwksUri: "https://issuer.example.com/keys",
      fromHeaders: [{ name: "x-token", prefix: "Bearer " }],
      fromParams: ["token"],
      fromCookies: ["token"],
      outputPayloadToHeader: "x-payload",
      forwardOriginalToken: true,
      outputClaimToHeaders: [{ header: "x-sub", claim: "sub" }],
      timeout: "5s",
      spaceDelimitedClaims: ["scope"],
    },
    { issuer: "https://third.example.com", jwks_uri: "https://third.example.com/keys" },
    { issuer: "https://other.example.com", jwks: '{"keys":[{"kty":"oct","kid":"a","k":"c2VjcmV0"}]}' },
  ],
});

const tags: Spec = {
  literal: { literal: { value: "fixed" } },
  environment: { environment: { name: "REGION", defaultValue: "eu" } },
  header: { header: { name: "x-user", defaultValue: "none" } },
  formatter: { formatter: { value: "%REQ(X-USER)%" } },
};
const providers = [{ name: "zipkin" }];

export const telemetries: readonly Spec[] = attached({
  tracing: [
    {
      match: { mode: "CLIENT" },
      providers,
      randomSamplingPercentage: 12.5,
      disableSpanReporting: false,
      customTags: tags,
      useRequestIdForTraceSampling: true,
      enableIstioTags: false,
      disableContextPropagation: true,
    },
  ],
  metrics: [
    {
      providers: [{ name: "prometheus" }],
      reportingInterval: "10s",
      overrides: [
        {
          match: { metric: "REQUEST_COUNT", mode: "SERVER" },
          disabled: false,
          tagOverrides: { path: { operation: "UPSERT", value: "request.url_path" }, code: { operation: "REMOVE" } },
        },
        { match: { customMetric: "my_metric" }, disabled: true },
      ],
    },
  ],
  accessLogging: [
    {
      match: { mode: "SERVER" },
      providers: [{ name: "envoy" }],
      disabled: false,
      filter: { expression: "response.code >= 400" },
    },
  ],
});

const module: Spec = {
  url: "oci://images.example.com/filters/auth:1.0",
  sha256: "a".repeat(64),
  imagePullPolicy: "IfNotPresent",
  imagePullSecret: "pull-secret",
  verificationKey: "key",
  pluginConfig: { rules: [{ path: "/a", deep: { list: [1, null, "x"] } }], rate: 0.5 },
  pluginName: "auth",
  failStrategy: "FAIL_OPEN",
  type: "HTTP",
  vmConfig: {
    env: [
      { name: "LEVEL", value: "debug", valueFrom: "INLINE" },
      { name: "HOME", valueFrom: "HOST" },
    ],
  },
};
const match = [{ mode: "SERVER", ports: [{ number: 80 }, { number: 8080 }] }];

export const wasmPlugins: readonly Spec[] = attached({ ...module, phase: "AUTHN", priority: 10, match });

export const trafficExtensions: readonly Spec[] = [
  { selector, wasm: module, phase: "AUTHZ", priority: -1, match },
  { targetRefs: [gatewayRef], lua: { inlineCode: "function envoy_on_request(handle) end" } },
];
