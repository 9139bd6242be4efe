"""The kit: the machinery below the app. You don't need to change it. It doesn't know `app`."""
