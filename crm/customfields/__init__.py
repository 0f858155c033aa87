"""Custom fields: definitions, values and their index, cleaning and forms; shared by leads, contacts and activities."""
