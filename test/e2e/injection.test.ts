/** What the webhook and the agent make of pods, seen in a cluster that runs them. */
import { afterAll, expect, it } from "vitest";
import { proxyImage, toolboxImage } from "../../tools/e2e/image-names.ts";
import {
  apply,
  askFor,
  findPod,
  kubectl,
  listPods,
  type Pod,
  readRedirection,
  waitForReady,
} from "./support/kubernetes.ts";

afterAll(() => kubectl(["-n", "bookinfo", "delete", "pod/alone", "job/errand", "--ignore-not-found", "--now"]));

const namesOf = ({ spec }: Pod): readonly string[] =>
  [...(spec.initContainers ?? []), ...spec.containers].map(({ name }) => name);
const isReady = ({ status }: Pod): boolean =>
  status.conditions?.some(({ type, status }) => type === "Ready" && status === "True") === true;

it("gives every pod of a labelled namespace a sidecar that becomes ready", async () => {
  const pods = await listPods("bookinfo");
  expect(pods.length).toBeGreaterThanOrEqual(7);
  for (const pod of pods) {
    expect(namesOf(pod)).toEqual(expect.arrayContaining(["istio-init", "istio-proxy"]));
    expect([pod.metadata.name, isReady(pod)]).toEqual([pod.metadata.name, true]);
    expect(pod.metadata.labels).toMatchObject({ "security.istio.io/tlsMode": "istio" });
  }
});

it("runs the proxy as a native sidecar where the kubelet knows them", async () => {
  const { spec } = await findPod("bookinfo", "app=ratings");
  expect(spec.initContainers?.find(({ name }) => name === "istio-proxy")).toMatchObject({ restartPolicy: "Always" });
  expect(spec.containers.map(({ name }) => name)).toEqual(["ratings"]);
});

it("fills in the gateway's pod, image and all", async () => {
  const { spec } = await findPod("istio-ingress", "istio=ingressgateway");
  const images = spec.containers.map(({ name, image }) => [name, image.replace("docker.io/library/", "")]);
  expect(images).toEqual([["istio-proxy", proxyImage.replace("docker.io/library/", "")]]);
});

it("redirects the traffic of a pod to its proxy, and nothing of a gateway's", async () => {
  const rules = await readRedirection(await findPod("bookinfo", "app=details"));
  expect(rules).toMatch(/-A ISTIO_IN_REDIRECT .*--to-ports 15006/);
  expect(rules).toMatch(/-A ISTIO_REDIRECT .*--to-ports 15001/);
  expect(rules).toMatch(/-A ISTIO_OUTPUT .*--uid-owner 1337/);
  expect(await readRedirection(await findPod("istio-ingress", "istio=ingressgateway"))).not.toContain("ISTIO_");
});

it("leaves a pod alone that asks for it", async () => {
  await apply(`
apiVersion: v1
kind: Pod
metadata: {name: alone, namespace: bookinfo, labels: {app: alone, sidecar.istio.io/inject: "false"}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: toolbox, image: ${toolboxImage}, imagePullPolicy: Never}]
`);
  await waitForReady("bookinfo", "app=alone");
  expect(namesOf(await findPod("bookinfo", "app=alone"))).toEqual(["toolbox"]);
});

it("lets a job with a sidecar call the mesh, and end", async () => {
  await apply(`
apiVersion: batch/v1
kind: Job
metadata: {name: errand, namespace: bookinfo}
spec:
  backoffLimit: 0
  template:
    metadata: {labels: {app: errand}}
    spec:
      restartPolicy: Never
      containers:
        - name: toolbox
          image: ${toolboxImage}
          imagePullPolicy: Never
          command: ${JSON.stringify(askFor("http://ratings:9080/ratings/0"))}
`);
  await kubectl(["-n", "bookinfo", "wait", "--for=condition=Complete", "job/errand", "--timeout=180s"]);
  expect(await kubectl(["-n", "bookinfo", "logs", "job/errand", "-c", "toolbox"])).toContain('"Reviewer1":5');
  expect(namesOf(await findPod("bookinfo", "app=errand"))).toContain("istio-proxy");
});
