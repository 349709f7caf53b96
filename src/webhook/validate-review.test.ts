import { describe, expect, test } from "vitest";
import { validateReview } from "./validate-review.ts";

interface Given {
  readonly object?: unknown;
  readonly oldObject?: unknown;
  readonly operation?: string;
  readonly [field: string]: unknown;
}

const spec = { hosts: ["reviews"], http: [{ route: [{ destination: { host: "reviews" } }] }] };
const metadata = { name: "reviews", namespace: "shop" };
const good = { apiVersion: "networking.istio.io/v1", kind: "VirtualService", metadata, spec };
const bad = { ...good, spec: { hosts: [] } };
const kind = { group: "networking.istio.io", version: "v1", kind: "VirtualService" };
const resource = { group: "networking.istio.io", version: "v1", resource: "virtualservices" };

function ask(given: Given, apiVersion = "admission.k8s.io/v1") {
  const counted: string[] = [];
  const request = { uid: "u-1", kind, resource, operation: "CREATE", namespace: "shop", name: "reviews", ...given };
  const { httpStatus, review, refusal } = validateReview(
    { apiVersion, kind: "AdmissionReview", request },
    { count: (name, labels = {}) => void counted.push([name, ...Object.values(labels)].join(" ")) },
  );
  const status = review.response.status as
    | { message?: string; code?: number; details?: { causes: unknown[] } }
    | undefined;
  return {
    httpStatus,
    review,
    refusal,
    counted,
    allowed: review.response.allowed,
    message: status?.message ?? "",
    causes: status?.details?.causes ?? [],
    warnings: review.response.warnings ?? [],
  };
}

describe("the answer", () => {
  test.each(["admission.k8s.io/v1", "admission.k8s.io/v1beta1"])(
    "has the version and uid of a question in %s",
    (apiVersion) => {
      const { httpStatus, review, counted } = ask({ object: good }, apiVersion);
      expect(httpStatus).toBe(200);
      expect(review).toEqual({ apiVersion, kind: "AdmissionReview", response: { uid: "u-1", allowed: true } });
      expect(counted).toEqual(["galley_validation_passed networking.istio.io v1 virtualservices"]);
    },
  );

  test("to an invalid object says kind, name, field path and reason of each error, for people and programs", () => {
    const weights = [{ destination: { host: "a" }, weight: "much" }, { destination: {} }];
    const { allowed, message, causes, review, counted, refusal } = ask({
      object: { ...good, spec: { ...spec, http: [{ route: weights }] } },
    });
    expect(allowed).toBe(false);
    expect(message).toMatch(/^configuration is invalid: VirtualService shop\/reviews: spec\.http\[0\]\.route\[/);
    expect(message).toContain("spec.http[0].route[0].weight: ");
    expect(message).toContain("spec.http[0].route[1].destination.host: ");
    expect(causes).toContainEqual({
      reason: "FieldValueInvalid",
      field: "spec.http[0].route[1].destination.host",
      message: expect.any(String),
    });
    expect(review.response.status).toMatchObject({ status: "Failure", code: 400, reason: "BadRequest" });
    expect(counted).toEqual(["galley_validation_failed networking.istio.io v1 virtualservices invalid_resource"]);
    expect(refusal).toBe(message);
  });

  test("to a dry run says so, and counts no failure", () => {
    const { allowed, message, counted } = ask({ object: bad, dryRun: true });
    expect(allowed).toBe(false);
    expect(message).toMatch(/ \(dry run\)$/);
    expect(counted).toEqual([]);
  });

  test("to an object with 100,000 hosts comes before the API server gives up", () => {
    const hosts = Array.from({ length: 100_000 }, (_, index) => `*.h${index}.example.com`);
    expect(ask({ object: { ...good, spec: { ...spec, hosts } } }).allowed).toBe(true);
    expect(ask({ object: { ...good, spec: { ...spec, hosts: [...hosts, "a.h7.example.com"] } } }).message).toContain(
      'spec.hosts[100000]: host "a.h7.example.com" overlaps with "*.h7.example.com"',
    );
  });

  test("is bounded however much is wrong", () => {
    const hosts = Array.from({ length: 5_000 }, (_, index) => `_${"x".repeat(500)}${index}`);
    const { message, causes } = ask({ object: { ...good, spec: { ...spec, hosts } } });
    expect(message.length).toBeLessThan(10_000);
    expect(message).toMatch(/; and \d+ more$/);
    expect(causes).toHaveLength(16);
  });
});

describe("what is no question", () => {
  test.each<[string, unknown, string]>([
    ["undefined", undefined, "no AdmissionReview"],
    ["a number", 7, "no AdmissionReview"],
    ["another version", { apiVersion: "admission.k8s.io/v2", kind: "AdmissionReview", request: {} }, "v1 or"],
    ["no request", { apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview" }, "has no request"],
    [
      "a list as request",
      { apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview", request: [] },
      "has no request",
    ],
    ["a response", { apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview", response: {} }, "has no request"],
  ])("is refused: %s", (_case, raw, text) => {
    const { httpStatus, review } = validateReview(raw, { count: () => undefined });
    expect(httpStatus).toBe(400);
    expect(review.response.allowed).toBe(false);
    expect(JSON.stringify(review.response.status)).toContain(text);
  });

  test("gives back no endless uid, and no uid that is no text", () => {
    expect(ask({ object: good, uid: "x".repeat(100_000) }).review.response.uid).toHaveLength(256);
    expect(ask({ object: good, uid: { a: 1 } }).review.response.uid).toBe("");
  });
});

describe("operations", () => {
  test.each(["DELETE", "CONNECT", "", "create"])("other than CREATE and UPDATE are allowed: %s", (operation) => {
    const { allowed, counted } = ask({ operation, object: null, oldObject: bad });
    expect(allowed).toBe(true);
    expect(counted).toEqual(["galley_validation_failed networking.istio.io v1 virtualservices unsupported_operation"]);
  });

  test("UPDATE is judged as CREATE is, also where the object was invalid before", () => {
    expect(ask({ operation: "UPDATE", object: good, oldObject: bad }).allowed).toBe(true);
    expect(ask({ operation: "UPDATE", object: bad, oldObject: good }).allowed).toBe(false);
    expect(ask({ operation: "UPDATE", object: bad, oldObject: bad }).allowed).toBe(false);
  });

  test("UPDATE of an object on its way out is allowed as long as its spec stays", () => {
    const leaving = { ...bad, metadata: { ...metadata, deletionTimestamp: "2030-01-01T00:00:00Z" } };
    const before = { ...leaving, metadata: { ...leaving.metadata, finalizers: ["example.com/wait"] } };
    expect(ask({ operation: "UPDATE", object: leaving, oldObject: before }).allowed).toBe(true);
    expect(ask({ operation: "UPDATE", object: leaving, oldObject: good }).allowed).toBe(false);
    expect(ask({ operation: "CREATE", object: leaving }).allowed).toBe(false);
  });

  test.each([
    ["null", null],
    ["nothing", undefined],
    ["a text", "{}"],
    ["a list", []],
  ])("CREATE of %s is refused", (_case, object) => {
    const { allowed, message, counted } = ask({ object });
    expect(allowed).toBe(false);
    expect(message).toContain("cannot decode configuration");
    expect(counted[0]).toContain("yaml_decode_error");
  });
});

describe("which objects are judged", () => {
  test.each([
    ["an unknown kind", { ...good, kind: "VirtualServer" }],
    ["a kind of another group", { ...good, apiVersion: "security.istio.io/v1" }],
    ["no kind", { ...good, kind: undefined }],
    ["no apiVersion", { ...good, apiVersion: undefined }],
    ["an apiVersion without group", { ...good, apiVersion: "v1" }],
    ["a kind of prototypes", { ...good, kind: "__proto__" }],
    ["a kind that is no text", { ...good, kind: ["VirtualService"] }],
    ["another group than the request says", { ...good, apiVersion: "networking.istio.example/v1" }],
  ])("in a group of Istio is refused as unrecognized: %s", (_case, object) => {
    const { allowed, message, counted } = ask({ object });
    expect(allowed).toBe(false);
    expect(message).toMatch(/^unrecognized type /);
    expect(counted[0]).toContain("unknown_type");
  });

  test("nothing that says what it is is refused as well", () => {
    expect(ask({ kind: undefined, resource: undefined, object: { spec: {} } }).message).toMatch(/^unrecognized type/);
  });

  test.each(["v1", "v1beta1", "v1alpha3", "v1alpha1", "v7"])("all versions are one: %s", (version) => {
    expect(ask({ object: { ...good, apiVersion: `networking.istio.io/${version}` } }).allowed).toBe(true);
    expect(ask({ object: { ...bad, apiVersion: `networking.istio.io/${version}` } }).allowed).toBe(false);
  });

  test.each([
    ["v1", "Pod", ""],
    ["v1", "Service", ""],
    ["apps/v1", "Deployment", "apps"],
    ["gateway.networking.k8s.io/v1", "Gateway", "gateway.networking.k8s.io"],
    ["example.com/v1", "VirtualService", "example.com"],
    ["install.istio.io/v1alpha1", "IstioOperator", "install.istio.io"],
  ])("objects of other groups are none of ours: %s %s", (apiVersion, name, group) => {
    const object = { apiVersion, kind: name, metadata: { name: "" }, nonsense: 1 };
    const { allowed, warnings } = ask({ kind: { group, kind: name }, resource: { group, resource: "some" }, object });
    expect(allowed).toBe(true);
    expect(warnings).toEqual([]);
    expect(ask({ kind: undefined, resource: undefined, object }).allowed).toBe(true);
  });

  test("labels of metrics are bounded", () => {
    const foreign = { group: "x".repeat(1_000), version: "y", resource: "z" };
    expect(ask({ object: good, resource: foreign }).counted).toEqual(["galley_validation_passed other other other"]);
    expect(ask({ object: good, resource: { ...resource, version: "v99" } }).counted).toEqual([
      "galley_validation_passed networking.istio.io other virtualservices",
    ]);
  });
});

describe("metadata", () => {
  test.each([
    ["a name that the API server is to make", { generateName: "reviews-" }],
    ["no metadata", undefined],
    ["null", null],
    ["a name that only the API server minds", { name: "Reviews_1", namespace: "UPPER" }],
    [
      "what API servers add",
      { ...metadata, creationTimestamp: null, managedFields: [{ manager: "kubectl", fieldsV1: {} }] },
    ],
  ])("is no reason for a refusal: %s", (_case, given) => {
    expect(ask({ object: { ...good, metadata: given }, name: "" })).toMatchObject({ allowed: true, message: "" });
  });

  test("of a wrong type is", () => {
    expect(ask({ object: { ...good, metadata: { ...metadata, labels: { a: 1 } } } }).message).toContain(
      "metadata.labels",
    );
    expect(ask({ object: { ...good, metadata: "reviews" } }).allowed).toBe(false);
  });

  test("names the object in the message as far as it has a name", () => {
    const object = { ...bad, metadata: { generateName: "reviews-" } };
    expect(ask({ object, name: "" }).message).toContain("VirtualService shop/reviews-*: ");
    expect(ask({ object: bad, name: "", namespace: "" }).message).toContain("VirtualService shop/reviews: ");
  });

  test.each([
    ["internal.istio.io/webhook-always-reject", "true"],
    ["internal.istio.io/parents", "HTTPRoute/a.b"],
    ["internal.istio.io/parent-namespace", "other"],
    ["istio.io/dry-run", "true"],
  ])("with annotation %s is refused", (annotation, value) => {
    const { allowed, message } = ask({
      object: { ...good, metadata: { ...metadata, annotations: { [annotation]: value } } },
    });
    expect(allowed).toBe(false);
    expect(message).toContain(`metadata.annotations["${annotation}"]: `);
  });

  test.each([
    [{ action: "DENY" }, "true", true],
    [{}, "0", true],
    [{}, "perhaps", false],
    [{ action: "AUDIT" }, "true", false],
  ])("may ask for a dry run of an AuthorizationPolicy: %o %s", (policy, value, isAllowed) => {
    const object = {
      apiVersion: "security.istio.io/v1",
      kind: "AuthorizationPolicy",
      metadata: { ...metadata, annotations: { "istio.io/dry-run": value } },
      spec: { rules: [{}], ...policy },
    };
    expect(ask({ object, kind: { group: "security.istio.io", kind: "AuthorizationPolicy" } }).allowed).toBe(isAllowed);
  });
});

describe("unknown fields", () => {
  test.each(["VirtualService", "EnvoyFilter"])("beside the spec are refused for %s", (name) => {
    const { allowed, message } = ask({ object: { ...good, kind: name, specs: {} } });
    expect(allowed).toBe(false);
    expect(message).toContain('specs: unknown field "specs"');
  });

  test("in the spec are passed over with a warning, as istiod does", () => {
    const { allowed, warnings } = ask({ object: { ...good, spec: { ...spec, hostss: ["a"], ["__proto__"]: {} } } });
    expect(allowed).toBe(true);
    expect(warnings).toEqual([
      'spec.__proto__: the name "__proto__" is not allowed (ignored)',
      'spec.hostss: unknown field "hostss", did you mean "hosts"? (ignored)',
    ]);
  });

  test("warnings are short and few", () => {
    const many = Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`${index}${"x".repeat(300)}`, 1]));
    const { warnings } = ask({ object: { ...good, spec: { ...spec, ...many } } });
    expect(warnings).toHaveLength(17);
    expect(warnings.at(-1)).toBe("34 more warnings");
    for (const warning of warnings) expect(warning.length).toBeLessThanOrEqual(256);
  });
});
