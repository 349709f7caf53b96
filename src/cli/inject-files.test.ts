import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { runCommandLine } from "./main.ts";

let directory = "";
const file = (name: string, text?: string): string => {
  const path = join(directory, name);
  if (text !== undefined) writeFileSync(path, text);
  return path;
};

let errors = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "meltemi-inject-"));
  errors = "";
  vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    errors += String(text);
    return true;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(directory, { recursive: true, force: true });
});

const pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  - {name: a, image: a}\n";

it("injects by the settings of a cluster", async () => {
  const args = [
    ...["-f", file("in.yaml", pod), "-o", file("out.yaml"), "-r", "canary", "-n", "shop", "--nativeSidecars"],
    ...["--injectConfigFile", file("config.yaml", "injectedAnnotations: {team: a}\n")],
    ...["--valuesFile", file("values.json", '{"global": {"hub": "registry.example", "tag": "7"}}')],
    ...["--meshConfigFile", file("mesh.yaml", "trustDomain: shop.example\n")],
  ];
  expect(await runCommandLine(["kube-inject", ...args])).toBe(0);
  const text = readFileSync(file("out.yaml"), "utf8");
  expect(text).toContain("image: registry.example/proxyv2:7");
  expect(text).toContain("team: a");
  expect(text).toContain("istio.io/rev: canary");
  expect(text).toContain("value: shop.example");
  expect(text).toContain("namespaces/shop/pods/a");
  expect(text).toContain("restartPolicy: Always");
});

it.each([
  [
    "a pod",
    { "in.yaml": pod.replace("name: a}", "name: a, annotations: {sidecar.istio.io/proxyCPU: x}}") },
    "document 1: metadata.annotations",
  ],
  [
    "the injector's configuration",
    { "config.yaml": "policy: maybe" },
    "data.config.policy: must be enabled or disabled",
  ],
  ["values", { "values.json": '{"global": []' }, "data.values: is not valid YAML"],
  ["the mesh", { "mesh.yaml": "trustDomain: 1" }, "trustDomain: "],
])("says what is wrong in %s", async (_what, files, message) => {
  const given: Readonly<Record<string, string>> = {
    "in.yaml": pod,
    "config.yaml": "",
    "values.json": "",
    "mesh.yaml": "",
    ...files,
  };
  for (const [name, text] of Object.entries(given)) file(name, text);
  const args = [
    "-f",
    "in.yaml",
    "--injectConfigFile",
    "config.yaml",
    "--valuesFile",
    "values.json",
    "--meshConfigFile",
    "mesh.yaml",
  ];
  const paths = args.map((argument) => (argument in given ? join(directory, argument) : argument));
  expect(await runCommandLine(["kube-inject", ...paths, "-o", file("out.yaml")])).toBe(1);
  expect(errors).toContain(message);
  expect(() => readFileSync(file("out.yaml"))).toThrow();
});

it("names a file that is not there", async () => {
  expect(await runCommandLine(["kube-inject", "-f", file("none.yaml")])).toBe(1);
  expect(errors).toContain("none.yaml");
});
