/** Calls over HTTP into the mesh. */
import { Agent, get, type IncomingMessage } from "node:http";
import { readServiceIp, sleep, waitFor } from "./kubernetes.ts";

export interface Answer {
  readonly status: number;
  readonly body: string;
  readonly headers: IncomingMessage["headers"];
}

const limitMs = 15_000;

/** One GET. Rejects where no answer comes. */
export function call(url: string, agent?: Agent): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = get(url, { timeout: limitMs, ...(agent && { agent }) }, (response) => {
      let body = "";
      response
        .setEncoding("utf8")
        .on("data", (chunk: string) => {
          body += chunk;
        })
        .on("end", () => resolve({ status: response.statusCode ?? 0, body, headers: response.headers }))
        .on("error", reject);
    });
    request.on("timeout", () => request.destroy(new Error(`no answer within ${limitMs} ms`))).on("error", reject);
  });
}

/** The product page as people see it, through the gateway's Service. */
export async function productPageUrl(): Promise<string> {
  return `http://${await readServiceIp("istio-ingress", "ingressgateway")}/productpage`;
}

/** Which version of reviews made the page; undefined where the page has none. */
export const findReviewer = (page: string): string | undefined => /Reviews served by: <b>([^<]+)</.exec(page)?.[1];

/** Waits until `count` pages in a row are of the wanted version. */
export async function waitForReviewer(url: string, reviewer: string, count = 20): Promise<void> {
  await waitFor(`${count} pages by ${reviewer}`, 60_000, async () => {
    for (let number = 0; number < count; number++) {
      const { status, body } = await call(url);
      const found = findReviewer(body);
      if (found !== reviewer) return `page ${number} is ${status}, by ${found}: ${body.slice(-300)}`;
    }
    return undefined;
  });
}

export interface Load {
  /** Ends it and gives all that was not a whole page. */
  stop(): Promise<LoadResult>;
  /** Pages so far. */
  count(): number;
}

export interface LoadResult {
  readonly pages: number;
  readonly failures: readonly string[];
}

/**
 * Asks for the page all the time, over a connection that stays and over new ones, and notes down what `findFault` sees
 * in a page.
 */
export function startLoad(url: string, findFault: (answer: Answer) => string | undefined): Load {
  const [kept, fresh] = [new Agent({ keepAlive: true }), new Agent({ keepAlive: false })];
  const failures: string[] = [];
  let pages = 0;
  let isRunning = true;
  const ask = async (agent: Agent): Promise<void> => {
    while (isRunning) {
      try {
        const answer = await call(url, agent);
        const fault = findFault(answer);
        if (fault !== undefined) failures.push(`${new Date().toISOString()} ${answer.status} ${fault}`);
      } catch (cause) {
        failures.push(`${new Date().toISOString()} ${String(cause)}`);
      }
      pages += 1;
      await sleep(50);
    }
  };
  const callers = [kept, fresh].map(ask);
  return {
    count: () => pages,
    async stop() {
      isRunning = false;
      await Promise.all(callers);
      kept.destroy();
      return { pages, failures };
    },
  };
}
