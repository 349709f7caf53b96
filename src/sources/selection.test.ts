import { beforeEach, describe, expect, test } from "vitest";
import { createReader, type Reader, serviceYaml } from "../../test/laws/source-laws.ts";
import { createMemorySource, type MemorySource } from "./memory.ts";
import { createSelectedSource, type SelectedSource, type SelectionOptions } from "./selection.ts";

const mesh = (selectors: string, name = "istio"): string => `
apiVersion: v1
kind: ConfigMap
metadata: {name: ${name}, namespace: istio-system}
data: {mesh: '${selectors}'}
---
`;
const namespace = (name: string, labels = "{}"): string => `
apiVersion: v1
kind: Namespace
metadata: {name: ${name}, labels: ${labels}}
---
`;
const service = (name: string, inside: string, port: number | string = 80): string =>
  serviceYaml(name, port).replace(`name: ${name}`, `name: ${name}\n  namespace: ${inside}`);
const rule = (name: string, revision: string): string => `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ${name}, namespace: a, labels: {istio.io/rev: ${revision}}}
spec: {host: ${name}}
---
`;
const on = "discoverySelectors: [{matchLabels: {mesh: on}}]";

let inner: MemorySource;
let source: SelectedSource;
let reader: Reader;

async function start(text: string, options: SelectionOptions = {}): Promise<void> {
  inner = createMemorySource();
  source = createSelectedSource(inner, options);
  reader = createReader();
  inner.apply(text);
  await source.start(reader);
}

/** Services that the reader has. */
const services = (): readonly string[] => reader.content().filter((line) => line.startsWith("Service "));
/** What the last change set did. */
const lastChanges = (): readonly string[] =>
  (reader.changeSets.at(-1)?.changes ?? []).map((change) => {
    const { kind, meta } = change.type === "set" ? change.object : { kind: change.ref.kind, meta: change.ref };
    return `${change.type} ${kind} ${meta.name}`;
  });

describe("discovery selectors", () => {
  const content = namespace("a", "{mesh: on}") + namespace("b") + service("x", "a") + service("y", "b");

  beforeEach(() => start(mesh(on) + content + service("z", "nowhere")));

  test("pass objects of selected namespaces, and what selection depends on", () => {
    expect(reader.changeSets).toHaveLength(1);
    expect(reader.content()).toEqual(["ConfigMap istio-system/istio", "Namespace a", "Namespace b", "Service a/x 80"]);
  });

  test("a namespace that gets the label brings its objects, one that loses it takes them, in one step", () => {
    inner.apply(namespace("a") + namespace("b", "{mesh: on}"));
    expect(reader.changeSets).toHaveLength(2);
    expect(lastChanges()).toEqual(["set Namespace a", "set Namespace b", "deleted Service x", "set Service y"]);
    expect(services()).toEqual(["Service b/y 80"]);
  });

  test("a namespace that comes later, or goes", () => {
    inner.apply(namespace("nowhere", "{mesh: on}"));
    expect(services()).toEqual(["Service a/x 80", "Service nowhere/z 80"]);
    inner.delete({ kind: "Namespace", namespace: "", name: "nowhere" });
    expect(services()).toEqual(["Service a/x 80"]);
  });

  test("other selectors select anew; bad ones leave things as they were; none select everything", () => {
    inner.apply(mesh("discoverySelectors: [{matchExpressions: [{key: mesh, operator: DoesNotExist}]}]"));
    expect(lastChanges()).toEqual(["set ConfigMap istio", "deleted Service x", "set Service y"]);
    inner.apply(mesh("discoverySelectors: [{matchExpressions: [{key: mesh, operator: Like}]}]"));
    expect(lastChanges()).toEqual(["set ConfigMap istio"]);
    inner.delete({ kind: "ConfigMap", namespace: "istio-system", name: "istio" });
    expect(services()).toEqual(["Service a/x 80", "Service b/y 80", "Service nowhere/z 80"]);
  });

  test("what does not change the selection touches nothing else", () => {
    inner.apply(mesh(`${on} # the same`));
    expect(lastChanges()).toEqual(["set ConfigMap istio"]);
    inner.apply(namespace("a", "{mesh: on, more: x}"));
    expect(lastChanges()).toEqual(["set Namespace a"]);
  });

  test("changes of unselected objects are not heard", () => {
    inner.apply(service("y", "b", 81));
    inner.delete({ kind: "Service", namespace: "b", name: "y" });
    inner.delete({ kind: "Service", namespace: "b", name: "unknown" });
    expect(reader.changeSets).toHaveLength(1);
  });

  test("an object and the label of its namespace in one step", () => {
    inner.apply(namespace("b", "{mesh: on}") + service("y", "b", 81));
    expect(services()).toEqual(["Service a/x 80", "Service b/y 81"]);
    expect(lastChanges()).toEqual(["set Namespace b", "set Service y"]);
  });

  test("problems are those of selected objects", () => {
    inner.apply(service("bad", "b", "eighty"));
    expect(reader.changeSets).toHaveLength(1);
    inner.apply(service("bad", "a", "eighty"));
    expect(reader.problems().map(({ object }) => object.namespace)).toEqual(["a"]);
    inner.apply(namespace("b", "{mesh: on}"));
    expect(reader.problems().map(({ object }) => object.namespace)).toEqual(["b", "a"]);
    inner.apply(namespace("a"));
    expect(reader.problems().map(({ object }) => object.namespace)).toEqual(["b"]);
  });
});

test("the shared configuration counts where the own one says nothing", async () => {
  const content = namespace("a", "{mesh: on}") + service("x", "a") + namespace("b") + service("y", "b");
  await start(mesh(on, "shared") + mesh("trustDomain: td") + content, { sharedMeshConfigName: "shared" });
  expect(services()).toEqual(["Service a/x 80"]);
  inner.apply(mesh("discoverySelectors: [{}]"));
  expect(services()).toEqual(["Service a/x 80", "Service b/y 80"]);
});

describe("revisions", () => {
  const rules = rule("none", '""') + rule("mine", "canary") + rule("tagged", "prod") + rule("other", "stable");
  const names = (): readonly string[] => reader.content().map((line) => line.replace("DestinationRule a/", ""));

  test("pass objects without a revision, of the own one and of its tags", async () => {
    await start(rules, { revision: "canary", revisionTags: new Set(["prod"]) });
    expect(names()).toEqual(["mine", "none", "tagged"]);
  });

  test("without a revision everything passes", async () => {
    await start(rules);
    expect(names()).toHaveLength(4);
  });

  test("a tag that moves, and an object that changes hands", async () => {
    await start(rules, { revision: "canary", revisionTags: new Set(["prod"]) });
    source.setRevisionTags(new Set(["stable"]));
    expect(lastChanges()).toEqual(["deleted DestinationRule tagged", "set DestinationRule other"]);
    source.setRevisionTags(new Set(["stable"]));
    expect(reader.changeSets).toHaveLength(2);
    inner.apply(rule("mine", "blue"));
    expect(lastChanges()).toEqual(["deleted DestinationRule mine"]);
    inner.apply(rule("mine", "canary"));
    expect(lastChanges()).toEqual(["set DestinationRule mine"]);
  });

  test("labels of other objects mean nothing", async () => {
    await start(service("x", "a").replace("name: x", "name: x\n  labels: {istio.io/rev: stable}"), {
      revision: "canary",
    });
    expect(services()).toEqual(["Service a/x 80"]);
  });
});

test("after stop() nothing is heard, and the source can be started again", async () => {
  await start(service("x", "a"));
  await source.stop();
  inner.apply(service("y", "a"));
  source.setRevisionTags(new Set());
  expect(reader.changeSets).toHaveLength(1);
  reader = createReader();
  await source.start(reader);
  expect(services()).toEqual(["Service a/x 80", "Service a/y 80"]);
});
