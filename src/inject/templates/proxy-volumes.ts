/** Volumes of the proxy and where they are mounted, in Istio's order. */
import type { PlainObject } from "../../api/plain-value.ts";
import { sortEntries } from "../../lib/text-order.ts";
import { annotation } from "../annotation-names.ts";
import { parseJson } from "../parse-json.ts";
import { defined, isObject } from "../pod-fields.ts";
import type { TemplateData } from "./template-data.ts";

const mount = (name: string, mountPath: string): PlainObject => ({ name, mountPath });

/** Volumes that not every template has. `channel` is that between agent and proxy. */
export interface VolumeSelection {
  readonly hasCredentialSocket: boolean;
  readonly hasRevocations: boolean;
  readonly hasUserVolumes: boolean;
  readonly channel: "istio-envoy" | "istio-xds";
}

const gkeCertificates = "gke-workload-certificate";
const usesGke = ({ values }: TemplateData): boolean => values.caName === "GkeWorkloadCertificate";
const hasOwnRoots = ({ values }: TemplateData): boolean => values.certificateProvider === "istiod";
const hasBootstrap = ({ annotations }: TemplateData): boolean =>
  annotations[annotation.bootstrapOverride] !== undefined;

export const certificateMount = (data: TemplateData): PlainObject =>
  usesGke(data)
    ? { ...mount(gkeCertificates, "/var/run/secrets/workload-spiffe-credentials"), readOnly: true }
    : mount("workload-certs", "/var/run/secrets/workload-spiffe-credentials");

export function buildVolumeMounts(data: TemplateData, selection: VolumeSelection): readonly PlainObject[] {
  return [
    mount("workload-socket", "/var/run/secrets/workload-spiffe-uds"),
    ...(selection.hasCredentialSocket ? [mount("credential-socket", "/var/run/secrets/credential-uds")] : []),
    certificateMount(data),
    ...(hasOwnRoots(data) ? [mount("istiod-ca-cert", "/var/run/secrets/istio")] : []),
    ...(hasOwnRoots(data) && selection.hasRevocations ? [mount("istio-ca-crl", "/var/run/secrets/istio/crl")] : []),
    mount("istio-data", "/var/lib/istio/data"),
    ...(hasBootstrap(data) ? [mount("custom-bootstrap-volume", "/etc/istio/custom-bootstrap")] : []),
    mount(selection.channel, "/etc/istio/proxy"),
    mount("istio-token", "/var/run/secrets/tokens"),
    ...(data.values.mountMtlsCerts ? [{ ...mount("istio-certs", "/etc/certs/"), readOnly: true }] : []),
    mount("istio-podinfo", "/etc/istio/pod"),
    ...lightstepMounts(data),
    ...(selection.hasUserVolumes ? userObjects(data, annotation.userVolumeMount) : []),
  ];
}

export function buildVolumes(data: TemplateData, selection: VolumeSelection): readonly PlainObject[] {
  const empty = (name: string): PlainObject => ({ name, emptyDir: {} });
  const { annotations, values } = data;
  return [
    empty("workload-socket"),
    ...(selection.hasCredentialSocket ? [empty("credential-socket")] : []),
    usesGke(data)
      ? { name: gkeCertificates, csi: { driver: "workloadcertificates.security.cloud.google.com" } }
      : empty("workload-certs"),
    ...(hasBootstrap(data)
      ? [{ name: "custom-bootstrap-volume", configMap: { name: annotations[annotation.bootstrapOverride] ?? "" } }]
      : []),
    { name: selection.channel, emptyDir: { medium: "Memory" } },
    empty("istio-data"),
    { name: "istio-podinfo", downwardAPI: { items: ["labels", "annotations"].map(podInfo) } },
    {
      name: "istio-token",
      projected: {
        sources: [
          {
            serviceAccountToken: { path: "istio-token", expirationSeconds: 43_200, audience: values.tokenAudience },
          },
        ],
      },
    },
    ...(hasOwnRoots(data) ? [rootsVolume(data)] : []),
    ...(selection.hasRevocations
      ? [{ name: "istio-ca-crl", configMap: { name: values.crlConfigMap, optional: true } }]
      : []),
    ...(values.mountMtlsCerts ? [mountedCertificates(data)] : []),
    ...(selection.hasUserVolumes ? userObjects(data, annotation.userVolume) : []),
    ...(lightstepMounts(data).length === 0
      ? []
      : [{ name: "lightstep-certs", secret: { optional: true, secretName: "lightstep.cacert" } }]),
  ];
}

const podInfo = (name: string): PlainObject => ({ path: name, fieldRef: { fieldPath: `metadata.${name}` } });

function rootsVolume({ values }: TemplateData): PlainObject {
  const name = values.trustBundleName;
  if (!values.hasClusterTrustBundles) {
    return { name: "istiod-ca-cert", configMap: { name: name === "" ? "istio-ca-root-cert" : name } };
  }
  const bundle = { name: `istio.io:istiod-ca:${name === "" ? "root-cert" : name}`, path: "root-cert.pem" };
  return { name: "istiod-ca-cert", projected: { sources: [{ clusterTrustBundle: bundle }] } };
}

function mountedCertificates({ serviceAccount }: TemplateData): PlainObject {
  const secretName = `istio.${serviceAccount === "" ? "default" : serviceAccount}`;
  return { name: "istio-certs", secret: { optional: true, secretName } };
}

function lightstepMounts({ values, proxyConfig }: TemplateData): readonly PlainObject[] {
  const file = proxyConfig.tracing?.tlsSettings?.caCertificates;
  if (values.proxy.tracer !== "lightstep" || file === undefined) return [];
  return [{ ...mount("lightstep-certs", file.slice(0, file.lastIndexOf("/") + 1)), readOnly: true }];
}

/** Volumes or mounts of an annotation: a JSON object by name, checked before any template is made. */
function userObjects({ annotations }: TemplateData, name: string): readonly PlainObject[] {
  const given = annotations[name];
  const parsed = given === undefined ? undefined : parseJson(given);
  if (!isObject(parsed)) return [];
  return sortEntries(Object.entries(parsed)).flatMap(([key, value]) =>
    isObject(value) ? [defined({ ...value, name: key })] : [],
  );
}

export const imagePullSecrets = ({ values }: TemplateData): readonly PlainObject[] =>
  values.imagePullSecrets.map((name) => ({ name }));
