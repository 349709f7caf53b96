import { describeBehaviours } from "./runner.ts";

describeBehaviours("connection-pools");
