import { useEffect, useState } from "react";

/** Whether the view can be seen: its tab is shown, and it is not scrolled out of the conversation's sight. */
export function useLooking(): boolean {
  const [shown, setShown] = useState(() => document.visibilityState === "visible");
  const [inSight, setInSight] = useState(true);
  useEffect(() => {
    const look = () => setShown(document.visibilityState === "visible");
    document.addEventListener("visibilitychange", look);
    const observer = new IntersectionObserver((entries) => setInSight(entries.at(-1)?.isIntersecting ?? true));
    observer.observe(document.documentElement);
    return () => {
      document.removeEventListener("visibilitychange", look);
      observer.disconnect();
    };
  }, []);
  return shown && inSight;
}
