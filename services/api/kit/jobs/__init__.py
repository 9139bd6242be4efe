"""Jobs: functions that `flask work` runs outside of requests. The app's own database holds the queue."""
