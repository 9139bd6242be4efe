"""THE KIT: what the app stands on. You never need to edit it. It knows nothing about accounts or `app`."""
