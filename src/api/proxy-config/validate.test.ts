import { expect, test } from "vitest";
import { parseObject } from "../parse.ts";

/** What is said about a spec, one line a message, without the notice that the kind has no effect yet. */
function said(spec: unknown, version = "v1beta1"): readonly string[] {
  const raw = { apiVersion: `networking.istio.io/${version}`, kind: "ProxyConfig", metadata: { name: "a" }, spec };
  return parseObject(raw)
    .messages.filter(({ code }) => code !== "untranslated-kind")
    .map(({ level, path, text }) => `${level} ${path}: ${text}`);
}

test.each([
  [{}],
  [{ concurrency: 0, image: { imageType: "distroless" }, environmentVariables: { A: "b", C: null } }],
  [{ selector: { matchLabels: { app: "a" } }, concurrency: "2", environment_variables: {} }],
  [{ concurrency: null, image: null, selector: null }],
])("nothing is said about %j", (spec) => expect(said(spec)).toEqual([]));

test.each<readonly [unknown, ...string[]]>([
  [{ selector: {} }, "warning spec.selector: has no labels, so that it selects every workload of the namespace"],
  [
    { selector: { matchLabels: { "a*": "b" } } },
    'error spec.selector.matchLabels["a*"]: "*" has no meaning here: labels are compared as they are',
  ],
  [{ concurrency: -1 }, "error spec.concurrency: must not be negative"],
  [{ concurrency: 2147483648 }, "error spec.concurrency: must be at most 2147483647"],
  [{ concurrency: 1.5 }, "error spec.concurrency: must be an integer, not a number with decimals"],
  [
    { environmentVariables: { A: 1 } },
    'error spec.environmentVariables.A: must be a string, not a number (write "1" in quotes)',
  ],
  [{ image: { type: "debug" } }, 'error spec.image.type: unknown field "type"'],
])("%j", (spec, ...expected) => expect(said(spec)).toEqual(expected));

test("there is one version", () => {
  expect(said({}, "v1")).toEqual([
    "error apiVersion: networking.istio.io/v1 has no kind ProxyConfig that is read here, did you mean networking.istio.io/v1beta1?",
  ]);
});
