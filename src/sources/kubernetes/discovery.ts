import { groupVersionPath } from "../../api/resource-names.ts";
import { KubeApiError, type KubeClient } from "../../kube/kube-client.ts";
import type { Clock } from "../../lib/clock.ts";
import { readRecord } from "./raw-object.ts";
import type { WatchTarget } from "./watch-target.ts";

/** Many kinds ask about one group at once: an answer serves all who ask within this time. */
const sharedMs = 500;

/** Looks up which versions of a kind an API server serves. */
export class Discovery {
  readonly #client: KubeClient;
  readonly #clock: Clock;
  readonly #asked = new Map<string, { readonly atMs: number; readonly answer: Promise<unknown> }>();

  constructor(client: KubeClient, clock: Clock) {
    this.#client = client;
    this.#clock = clock;
  }

  /**
   * The version of a target's kind that is served and that we prefer; undefined where none of those that we read is.
   * Rejects where the server cannot say.
   */
  async findVersion({ group, plural, versions }: WatchTarget): Promise<string | undefined> {
    const groupDocument = readRecord(await this.#ask(`/apis/${group}`));
    const served = namesOf(groupDocument["versions"], "version");
    for (const version of versions) {
      if (!served.includes(version)) continue;
      const document = readRecord(await this.#ask(groupVersionPath(group, version)));
      if (namesOf(document["resources"], "name").includes(plural)) return version;
    }
    return undefined;
  }

  /**
   * Whether the kind is being removed, or is gone: the API server deletes its objects first, one by one, and takes the
   * verb "create" away before that.
   */
  async isBeingRemoved({ group, plural }: WatchTarget, version: string): Promise<boolean> {
    const path = groupVersionPath(group, version);
    // Never from what was heard before the deletion.
    this.#asked.delete(path);
    const resources = readRecord(await this.#ask(path))["resources"];
    const list: readonly unknown[] = Array.isArray(resources) ? resources : [];
    const verbs = readRecord(list.find((each) => readRecord(each)["name"] === plural))["verbs"];
    return !(Array.isArray(verbs) && verbs.includes("create"));
  }

  /** False while the server starts: then it may say of anything that it is missing or forbidden. Rejects where it is not reached. */
  async isReady(): Promise<boolean> {
    try {
      // The answer is a word, no JSON.
      (await this.#client.stream({ path: "/readyz", accept: "*/*" })).close();
      return true;
    } catch (cause: unknown) {
      if (!(cause instanceof KubeApiError)) throw cause;
      // Whoever may not see it cannot know; 429 and 5xx say "not yet".
      return cause.status < 429;
    }
  }

  /** The parsed document at a path; undefined where there is none. */
  #ask(path: string): Promise<unknown> {
    const known = this.#asked.get(path);
    const nowMs = this.#clock.monotonic();
    if (known !== undefined && nowMs - known.atMs < sharedMs) return known.answer;
    const answer = this.#client.request({ path }).catch((cause: unknown) => {
      if (cause instanceof KubeApiError && cause.status === 404) return undefined;
      throw cause;
    });
    this.#asked.set(path, { atMs: nowMs, answer });
    return answer;
  }
}

function namesOf(list: unknown, field: string): readonly unknown[] {
  return Array.isArray(list) ? list.map((each: unknown) => readRecord(each)[field]) : [];
}
