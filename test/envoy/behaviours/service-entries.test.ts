import { describeBehaviours } from "./runner.ts";

describeBehaviours("service-entries");
