import { describe, expect, it } from "vitest";
import { parseAllDocuments } from "yaml";
import { defaultMeshConfig } from "../api/mesh-config/defaults.ts";
import { injectDocuments } from "./inject-documents.ts";
import { parseInjectionConfig } from "./injection-config.ts";

const { config } = parseInjectionConfig({ config: "", values: "" });
if (config === undefined) throw new Error("the defaults cannot be read");

const inject = (text: string) =>
  injectDocuments(text, {
    config,
    mesh: defaultMeshConfig,
    revision: "",
    hasNativeSidecars: false,
    defaultNamespace: "default",
  });

const template = (indent: string) =>
  ["metadata: {labels: {app: a}}", "spec:", "  containers:", "  - {name: a, image: a}"]
    .map((line) => `${indent}${line}`)
    .join("\n");

const workloads: readonly (readonly [string, string])[] = [
  ["v1 ReplicationController", "spec:\n  template:"],
  ["apps/v1 Deployment", "spec:\n  template:"],
  ["apps/v1 DaemonSet", "spec:\n  template:"],
  ["apps/v1 ReplicaSet", "spec:\n  template:"],
  ["apps/v1 StatefulSet", "spec:\n  template:"],
  ["batch/v1 Job", "spec:\n  template:"],
  ["batch/v1 CronJob", "spec:\n  jobTemplate:\n    spec:\n      template:"],
];

describe("files of objects", () => {
  it.each(workloads)("injects %s, once", (type, path) => {
    const [apiVersion = "", kind = ""] = type.split(" ");
    const text = `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: {name: a}\n${path}\n${template(" ".repeat(12))}\n`;
    const once = inject(text).text ?? "";
    expect(once).toContain("name: istio-proxy");
    expect(once).toContain(`kubernetes://apis/${apiVersion}/namespaces/default/${kind.toLowerCase()}s/a`);
    expect(inject(once).text).toBe(once);
  });

  it("injects the objects of a List and keeps the others", () => {
    const pod = (name: string) =>
      `- {apiVersion: v1, kind: Pod, metadata: {name: ${name}}, spec: {containers: [{name: a}]}}\n`;
    const text = `apiVersion: v1\nkind: List\nitems:\n${pod("a")}- {apiVersion: v1, kind: Secret, metadata: {name: s}}\n${pod("b")}`;
    const once = inject(text).text ?? "";
    expect(once.match(/name: istio-proxy$/gm)).toHaveLength(2);
    expect(once).toContain("{ apiVersion: v1, kind: Secret, metadata: { name: s } }");
    expect(inject(once).text).toBe(once);
  });

  it("keeps documents that make no pods as they are, and comments", () => {
    const service = "# a service\napiVersion: v1\nkind: Service # here\nmetadata: {name:   a}\n";
    const deployment = `apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: a # its name\nspec:\n  template:\n${template("    ")}\n`;
    const { text = "" } = inject(`---\n${service}---\n# a deployment\n${deployment}`);
    expect(text.startsWith(`${service}---\n# a deployment\n`)).toBe(true);
    expect(text).toContain("name: a # its name");
  });

  it("reads and writes values as Kubernetes does", () => {
    const { text = "" } = inject(
      "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  annotations: {on: 'yes', day: 2026-01-02, proxy.istio.io/config: 'proxyMetadata: {ANSWER: \"yes\"}'}\nspec:\n  volumes:\n  - {name: v, secret: {secretName: s, defaultMode: 0644}}\n  containers:\n  - {name: a, tty: yes}\n",
    );
    expect(text).toContain("defaultMode: 0644");
    expect(text).toContain("tty: yes");
    expect(text).toMatch(/name: ANSWER\n +value: "yes"/);
    expect(text).toContain("day: 2026-01-02");
  });

  it("writes aliases out, because what is put in is put in at one place", () => {
    const { text = "" } = inject(
      "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  labels: &labels {app: a}\n  annotations: *labels\nspec:\n  containers:\n  - {name: a}\n",
    );
    const [document] = parseAllDocuments(text);
    expect(document?.toJS()).toMatchObject({ metadata: { labels: { app: "a" }, annotations: { app: "a" } } });
    expect(text).not.toContain("security.istio.io/tlsMode: istio\n    app");
  });

  it("names document, object and field of what is wrong", () => {
    const { text, errors } = inject(
      "apiVersion: v1\nkind: Service\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a, namespace: b}\nspec: {template: {metadata: {annotations: {sidecar.istio.io/proxyCPU: lots}}, spec: {containers: []}}}\n---\na: [\n---\napiVersion: batch/v1\nkind: Job\nmetadata: {name: j}\n",
    );
    expect(text).toBeUndefined();
    expect(errors[0]).toBe(
      'document 2: spec.template.metadata.annotations["sidecar.istio.io/proxyCPU"]: must be a quantity such as 100m or 128Mi, not "lots" (Deployment b/a)',
    );
    expect(errors[1]).toMatch(/^document 3: is not valid YAML: /);
    expect(errors.at(-1)).toBe("document 4: spec.template: is required: it is the pod to inject (Job default/j)");
  });

  it("says which objects are left alone", () => {
    const { remarks } = inject(
      "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {hostNetwork: true, containers: [{name: a}]}\n",
    );
    expect(remarks).toEqual(["document 1: Pod default/a is not injected: it uses the network of its host"]);
  });
});
