import { describe, expect, it } from "vitest";
import type { PlainObject } from "../api/plain-value.ts";
import { mergeOverlay, withoutSaid } from "./strategic-merge.ts";

/** [what it shows, pod, overlay, result] */
const merges: readonly (readonly [string, PlainObject, PlainObject, PlainObject])[] = [
  ["objects field by field", { a: { x: 1, y: 2 } }, { a: { y: 3, z: 4 } }, { a: { x: 1, y: 3, z: 4 } }],
  ["null takes away", { a: { x: 1, y: 2 } }, { a: { y: null, z: null } }, { a: { x: 1 } }],
  ["lists without a key are replaced", { args: ["a", "b"] }, { args: ["c"] }, { args: ["c"] }],
  [
    "items by their key, new ones first",
    {
      env: [
        { name: "A", value: "1" },
        { name: "B", value: "2" },
      ],
    },
    {
      env: [
        { name: "C", value: "3" },
        { name: "B", value: "4" },
      ],
    },
    {
      env: [
        { name: "C", value: "3" },
        { name: "A", value: "1" },
        { name: "B", value: "4" },
      ],
    },
  ],
  [
    "known items keep the pod's order",
    {
      env: [
        { name: "A", value: "1" },
        { name: "B", value: "2" },
      ],
    },
    {
      env: [
        { name: "B", value: "3" },
        { name: "A", value: "4" },
      ],
    },
    {
      env: [
        { name: "A", value: "4" },
        { name: "B", value: "3" },
      ],
    },
  ],
  [
    "two ports of one number stay two",
    {
      ports: [
        { containerPort: 53, protocol: "TCP" },
        { containerPort: 53, protocol: "UDP" },
      ],
    },
    { ports: [{ containerPort: 53, name: "dns" }] },
    {
      ports: [
        { containerPort: 53, protocol: "TCP", name: "dns" },
        { containerPort: 53, protocol: "UDP" },
      ],
    },
  ],
  [
    "$patch: delete takes an item away",
    { volumes: [{ name: "a" }, { name: "b" }] },
    { volumes: [{ name: "a", $patch: "delete" }] },
    { volumes: [{ name: "b" }] },
  ],
  [
    "$patch: replace replaces a list",
    { volumes: [{ name: "a" }] },
    { volumes: [{ $patch: "replace" }, { name: "b" }] },
    { volumes: [{ name: "b" }] },
  ],
  [
    "$patch: replace replaces an object",
    { securityContext: { runAsUser: 1 } },
    { securityContext: { $patch: "replace", runAsGroup: 2 } },
    { securityContext: { runAsGroup: 2 } },
  ],
  [
    "a volume has one source",
    { volumes: [{ name: "a", emptyDir: {} }] },
    { volumes: [{ name: "a", csi: { driver: "d" } }] },
    { volumes: [{ name: "a", csi: { driver: "d" } }] },
  ],
  [
    "a variable has one source",
    { env: [{ name: "A", valueFrom: { fieldRef: { fieldPath: "x" } } }] },
    { env: [{ name: "A", value: "1" }] },
    { env: [{ name: "A", value: "1" }] },
  ],
  [
    "a probe has one handler",
    { readinessProbe: { httpGet: { port: 1 }, periodSeconds: 3 } },
    { readinessProbe: { exec: { command: ["a"] } } },
    { readinessProbe: { periodSeconds: 3, exec: { command: ["a"] } } },
  ],
  [
    "defaults that the API server added to a list stay",
    { items: [{ path: "labels", fieldRef: { apiVersion: "v1", fieldPath: "metadata.labels" } }] },
    { items: [{ path: "labels", fieldRef: { fieldPath: "metadata.labels" } }] },
    { items: [{ path: "labels", fieldRef: { apiVersion: "v1", fieldPath: "metadata.labels" } }] },
  ],
  [
    "quantities that are the same stay as they are written",
    { limits: { cpu: "2", memory: "1Gi" }, sizeLimit: "1" },
    { limits: { cpu: "2000m", memory: "512Mi" }, sizeLimit: "1000m" },
    { limits: { cpu: "2", memory: "512Mi" }, sizeLimit: "1" },
  ],
];

describe("a strategic merge", () => {
  it.each(merges)("%s", (_what, pod, overlay, result) => {
    const merged = mergeOverlay(pod, overlay);
    expect(merged).toEqual(result);
    expect(mergeOverlay(merged, overlay)).toEqual(result);
  });
});

describe("a template under what the pod says", () => {
  it("leaves out what is said, and keeps the order of its items", () => {
    const template: PlainObject = {
      image: "t",
      args: ["t"],
      env: [
        { name: "A", value: "t" },
        { name: "B", valueFrom: { fieldRef: { fieldPath: "x" } } },
        { name: "C", value: "t" },
      ],
      readinessProbe: { httpGet: { port: 1 }, periodSeconds: 1 },
      resources: { requests: { cpu: "1" } },
    };
    const said: PlainObject = {
      args: ["own"],
      env: [{ name: "B", value: "own" }],
      readinessProbe: { exec: { command: ["own"] } },
      resources: { requests: { cpu: "2" } },
    };
    expect(withoutSaid(template, said)).toEqual({
      image: "t",
      env: [{ name: "A", value: "t" }, { name: "B" }, { name: "C", value: "t" }],
      readinessProbe: { periodSeconds: 1 },
      resources: { requests: {} },
    });
    const { env } = mergeOverlay(said, withoutSaid(template, said));
    expect(env).toEqual([
      { name: "A", value: "t" },
      { name: "B", value: "own" },
      { name: "C", value: "t" },
    ]);
  });
});
