print("registrygen")
