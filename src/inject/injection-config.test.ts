import { describe, expect, it } from "vitest";
import { parseInjectionConfig } from "./injection-config.ts";

const messagesOf = (config: string, values = "") =>
  parseInjectionConfig({ config, values }).messages.map(({ level, path, text }) => `${level} ${path}: ${text}`);

describe("the injector's ConfigMap", () => {
  it("is Istio's chart by default", () => {
    const { config, messages } = parseInjectionConfig({ config: "", values: "" });
    expect(messages).toEqual([]);
    expect(config).toMatchObject({ policy: "enabled", defaultTemplates: ["sidecar"] });
    expect(config?.values.proxy).toMatchObject({
      statusPort: 15020,
      readinessPeriodSeconds: 15,
      clusterDomain: "cluster.local",
    });
  });

  it("uses the built-in templates in the place of Istio's own text, and says so", () => {
    const { config, messages } = parseInjectionConfig({
      config: "templates:\n  sidecar: '{{ .Values }}'\n  waypoint: '{{ .Values }}'\n  own: '{{ .Values }}'\n",
      values: "",
    });
    expect(messages.map(({ level, path }) => `${level} ${path}`)).toEqual([
      "warning data.config.templates.sidecar",
      "warning data.config.templates.own",
    ]);
    expect([...(config?.templates.keys() ?? [])]).toEqual(["own"]);
  });

  it("takes values that Helm took away as not there", () => {
    const values = "global: {proxy: {resources: {limits: null, requests: {cpu: 50m, memory: null}}}}";
    const { config } = parseInjectionConfig({ config: "", values });
    expect(config?.values.proxy.resources).toEqual({ requests: { cpu: "50m" } });
  });

  it.each([
    ["policy: sometimes", "", 'error data.config.policy: must be enabled or disabled, not "sometimes"'],
    [
      "neverInjectSelector: [{matchExpressions: [{key: a, operator: Like}]}]",
      "",
      "error data.config.neverInjectSelector[0].matchExpressions[0]: must have a key and an operator of In, NotIn, Exists, DoesNotExist",
    ],
    ["injectedAnnotations: {a: 1}", "", "error data.config.injectedAnnotations.a: must be a string; put it in quotes"],
    ["aliases: {a: b}", "", "error data.config.aliases.a: must be a list of strings"],
    [
      "templates: {a: 'kind: Pod'}",
      "",
      "error data.config.templates.a.kind: only metadata and spec of a pod can be laid over",
    ],
    [
      "",
      "global: {proxy: {privileged: maybe}}",
      "error data.values.global.proxy.privileged: must be true or false, not a string",
    ],
    [
      "",
      "global: {proxy: {statusPort: -1}}",
      "error data.values.global.proxy.statusPort: must be a whole number from 0",
    ],
    [
      "",
      "global: {imagePullSecrets: [1]}",
      "error data.values.global.imagePullSecrets: must be a list of strings, not a list",
    ],
  ])("names the field of what cannot be used: %s%s", (config, values, message) => {
    expect(messagesOf(config, values)).toEqual([message]);
    expect(parseInjectionConfig({ config, values }).config).toBeUndefined();
  });

  it("names placeholders that are not known", () => {
    const placeholder = `$${"{inject.ObjectMeta.Secrets}"}`;
    const [message] = messagesOf(`templates: {a: "spec: {nodeName: '${placeholder}'}"}`);
    expect(message).toContain(
      `error data.config.templates.a.spec.nodeName: ${placeholder} is not known; there are ProxyImage`,
    );
  });

  it("selects nothing by an empty selector", () => {
    expect(
      parseInjectionConfig({ config: "neverInjectSelector: [{}]", values: "" }).config?.neverInjectSelector,
    ).toEqual([]);
  });
});
