import { describe, expect, test } from "vitest";
import { buildPatch, isSelected, parseConfigurationList } from "./webhook-config.ts";

const service = { namespace: "istio-system", name: "meltemi", path: "/validate" };
const roots = "-----BEGIN CERTIFICATE-----\n";
const caBundle = Buffer.from(roots).toString("base64");

function read(webhooks: unknown, metadata: object = {}) {
  const item = { metadata: { name: "meltemi-validator", resourceVersion: "7", ...metadata }, webhooks };
  const { configurations } = parseConfigurationList({ metadata: { resourceVersion: "9" }, items: [item] });
  const [configuration] = configurations;
  if (configuration === undefined) throw new Error("nothing was read");
  return configuration;
}
const entry = (changes: object = {}) => ({
  name: "a",
  clientConfig: { service, caBundle },
  failurePolicy: "Ignore",
  ...changes,
});
const endpoint = read([entry()]).webhooks[0]?.endpoint ?? "";

describe("a patch", () => {
  test("is empty where all is right", () => {
    expect(buildPatch(read([entry()]), { roots, provenEndpoints: new Set() })).toEqual([]);
    const closed = read([entry({ failurePolicy: "Fail" })]);
    expect(buildPatch(closed, { roots, provenEndpoints: new Set([endpoint]) })).toEqual([]);
  });

  test.each([
    ["absent", undefined],
    ["empty", ""],
    ["another's", "b3RoZXI="],
  ])("sets a bundle that is %s, for the version that was read only", (_case, found) => {
    const configuration = read([
      entry(),
      entry({ clientConfig: { service, ...(found === undefined ? {} : { caBundle: found }) } }),
    ]);
    expect(buildPatch(configuration, { roots, provenEndpoints: new Set() })).toEqual([
      { op: "test", path: "/metadata/resourceVersion", value: "7" },
      { op: "add", path: "/webhooks/1/clientConfig/caBundle", value: caBundle },
    ]);
  });

  test("closes exactly the webhooks of endpoints that were seen to refuse", () => {
    const elsewhere = entry({ clientConfig: { service: { ...service, name: "other" }, caBundle } });
    const byUrl = entry({ clientConfig: { url: "https://127.0.0.1/validate", caBundle } });
    const patch = buildPatch(read([elsewhere, entry(), byUrl]), { roots, provenEndpoints: new Set([endpoint]) });
    expect(patch.slice(1)).toEqual([{ op: "add", path: "/webhooks/1/failurePolicy", value: "Fail" }]);
  });

  test("never opens what is closed", () => {
    const patch = buildPatch(read([entry({ failurePolicy: "Fail" })]), { roots, provenEndpoints: new Set() });
    expect(patch).toEqual([]);
  });
});

test.each([
  [["meltemi-validator"], "default", undefined, true],
  [["meltemi-validator"], "default", "default", true],
  [["meltemi-validator"], "default", "canary", false],
  [["other"], "default", "default", false],
  [[], "default", "default", true],
  [[], "default", undefined, false],
  [[], "canary", "default", false],
])("names %o and revision %s select a configuration labelled %s: %s", (names, revision, label, expected) => {
  const labels = label === undefined ? {} : { labels: { "istio.io/rev": label } };
  expect(isSelected(read([entry()], labels), { names, revision })).toBe(expected);
});

test.each([undefined, null, 7, {}, { items: "x" }, { items: [null, 7, { webhooks: [null, {}] }] }])(
  "an answer of another form is read without harm: %o",
  (raw) => {
    for (const configuration of parseConfigurationList(raw).configurations)
      expect(isSelected(configuration, { names: [], revision: "default" })).toBe(false);
  },
);
